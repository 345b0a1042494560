"""Install the peers and build the programs."""
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
PEERS = BENCH / "peers"

# The Debian package, and the command or file that shows that it is there.
PACKAGES = {
    "curl": "curl",
    "mpop": "mpop",
    "fetchmail": "fetchmail",
    "getmail6": "getmail",
    "fdm": "fdm",
    "perl": "perl",
    "libio-socket-ssl-perl": "/usr/share/perl5/IO/Socket/SSL.pm",
    "ruby": "ruby",
    "nodejs": "node",
    "npm": "npm",
    "util-linux": "setpriv",
    "time": "/usr/bin/time",
    "gcc": "cc",
    # For the Rust crates that use OpenSSL
    "pkg-config": "pkg-config",
    "libssl-dev": "/usr/include/openssl/ssl.h",
}


@dataclass
class Places:
    """Where the programs are."""

    # bench-server and its like
    binaries: Path
    popwire: Path
    rust_peers: Path
    peers: Path = PEERS


def places():
    def target(workspace):
        return Path(os.environ.get("CARGO_TARGET_DIR", workspace / "target")).absolute() / "release"

    return Places(target(BENCH), target(ROOT) / "popwire", target(PEERS / "rust") / "popwire-bench-peers")


def run(*argv, **options):
    argv = [str(argument) for argument in argv]
    print("+", *argv, flush=True)
    subprocess.run(argv, check=True, **options)


def install():
    """Debian packages, the package of Node.js, and everything in Rust."""
    packages()
    if not (PEERS / "node_modules" / "node-pop3").exists():
        run("npm", "ci", "--prefix", PEERS, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    if not shutil.which("cargo"):
        raise SystemExit("Rust is missing: https://rustup.rs")
    run("cargo", "build", "--locked", "--quiet", "--release", "--manifest-path", BENCH / "Cargo.toml")
    run("cargo", "build", "--locked", "--quiet", "--release", "--package", "popwire-cli", cwd=ROOT)
    run("cargo", "build", "--locked", "--quiet", "--release", "--manifest-path", PEERS / "rust" / "Cargo.toml")


def packages():
    def there(proof):
        return Path(proof).exists() if proof.startswith("/") else shutil.which(proof)

    missing = [package for package, proof in PACKAGES.items() if not there(proof)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise SystemExit(f"missing, and there is no apt-get: {' '.join(missing)}")
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
    get = [*apt, "-y", "--no-install-recommends", "install", *missing]
    try:
        run(*get, stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError:
        # The lists of packages may be old, so that a download is not found.
        run(*apt, "update")
        run(*get, stdout=subprocess.DEVNULL)


def versions():
    """What the peers are, by their own words."""

    def first(*argv):
        done = subprocess.run(argv, capture_output=True, text=True)
        return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "unknown")

    debian = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\n", *PACKAGES], capture_output=True, text=True
    )
    versions = dict(line.split() for line in debian.stdout.splitlines() if len(line.split()) == 2)
    found = {name: _upstream(versions.get(name, "")) for name in ("curl", "mpop", "fetchmail", "fdm", "getmail6")}
    found["poplib"] = f"of {first(sys.executable, '--version')}"
    found["Net::POP3"] = first("perl", "-MNet::POP3", "-e", "print $Net::POP3::VERSION")
    found["net-pop"] = first("ruby", "-rnet/pop", "-e", "print Net::POP3::VERSION")
    found["node-pop3"] = first(
        "node", "-p", f"require('{PEERS}/node_modules/node-pop3/package.json').version"
    )
    crates = (PEERS / "rust" / "Cargo.lock").read_text().split("[[package]]")
    for crate in ("pop3-client", "rust-pop3-client", "async-pop", "rs-pop3"):
        for entry in crates:
            if f'name = "{crate}"' in entry:
                found[crate] = entry.split('version = "')[1].split('"')[0]
    return found


def _upstream(version):
    """The version without Debian's parts."""
    return version.split(":")[-1].split("-")[0].split("+")[0]
