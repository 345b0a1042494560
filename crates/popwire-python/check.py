#!/usr/bin/env python3
"""Builds the Python package, and tries it with each CPython of this machine from 3.9 on.

    crates/popwire-python/check.py             build wheel and sdist, check the types, run the tests
    crates/popwire-python/check.py --build     only build them, into target/wheels

Everything that is needed beside Rust and CPython is installed into target/python.
"""

import concurrent.futures
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target")).resolve()
WHEELS = TARGET / "wheels"
# CPython's tests are run with this too: nothing of the user's may be in their way.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYENV_VERSION")}


def main():
    tools = environment("tools", list(interpreters().values())[-1], "requirements-dev.txt")
    build(tools)
    if "--build" in sys.argv:
        return
    wheel = next(WHEELS.glob("popwire-*.whl"))
    failed = [name for name, passed in types(tools, wheel) if not passed]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for version, run in pool.map(lambda found: tests(*found, wheel), interpreters().items()):
            # All of it only where there is something to see.
            shown = run.stdout[-20000:] if run.returncode else run.stdout.strip().rpartition("\n")[2]
            print(f"==== CPython {version}\n{shown}", flush=True)
            if run.returncode:
                failed.append(f"the tests with CPython {version}")
    if failed:
        sys.exit("failed: " + ", ".join(failed))


def interpreters():
    """Of each CPython from 3.9 on one, by version, that can make environments."""
    places = os.environ.get("PATH", "").split(os.pathsep)
    candidates = [sys.executable]
    candidates += [f for p in places for f in glob.glob(f"{p}/python3.*") if re.fullmatch(r"python3\.\d+", os.path.basename(f))]
    for root in {os.environ.get("PYENV_ROOT", ""), os.path.expanduser("~/.pyenv")}:
        candidates += sorted(glob.glob(f"{root}/versions/*/bin/python3"))
    found = {}
    ask = "import sys, venv, ensurepip; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    for candidate in filter(os.path.exists, candidates):
        run = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, env=ENVIRONMENT)
        name, _, version = run.stdout.strip().partition(" ")
        if run.returncode == 0 and name == "cpython" and (3, 9) <= tuple(map(int, version.split("."))):
            found.setdefault(version, candidate)
    if not found:
        sys.exit("there is no CPython 3.9 or later here that can make environments (Debian: python3-venv)")
    return dict(sorted(found.items(), key=lambda item: tuple(map(int, item[0].split(".")))))


def environment(name, python, requirements, *more):
    """A new environment with these requirements; the path of its Python."""
    place = TARGET / "python" / name
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([python, "-m", "venv", place], check=True, env=ENVIRONMENT)
    ours = place / "bin/python"
    pip = [ours, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "-r", HERE / requirements, *more], check=True, env=ENVIRONMENT)
    return ours


def build(tools):
    shutil.rmtree(WHEELS, ignore_errors=True)
    for command in (["build", "--release", "--locked"], ["sdist"]):
        command = [tools.parent / "maturin", *command, "--out", WHEELS, "--manifest-path", HERE / "Cargo.toml"]
        run = subprocess.run(command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode:
            sys.exit(run.stdout)
    for made in sorted(WHEELS.iterdir()):
        print(made, flush=True)


def types(tools, wheel):
    """What mypy, stubtest and pyright say of the package as it is installed, and of the README's first lines."""
    pip = [tools, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--force-reinstall"]
    subprocess.run([*pip, wheel], check=True, env=ENVIRONMENT)
    example = TARGET / "python/example.py"
    example.write_text(re.search(r"```python\n(.*?)```", (HERE / "README.md").read_text("utf-8"), re.DOTALL)[1], "utf-8")
    mypy = [tools, "-m", "mypy", "--no-incremental", "--strict"]
    for name, command in {
        "mypy of the package": [*mypy, "--package", "popwire"],
        "mypy of the README": [*mypy, example],
        "stubtest": [tools, "-m", "mypy.stubtest", "popwire", "--ignore-missing-stub"],
        "pyright of the README": [tools.parent / "pyright", "--pythonpath", tools, example],
    }.items():
        print(f"==== {name}", flush=True)
        yield name, subprocess.run(command, cwd=TARGET, env=ENVIRONMENT).returncode == 0


def tests(version, python, wheel):
    ours = environment(version, python, "requirements-test.txt", wheel)
    command = [ours, "-X", "dev", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=3", HERE / "tests"]
    # Not in the package's folder: what is tried is what was installed.
    run = subprocess.run(command, cwd=TARGET, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return version, run


if __name__ == "__main__":
    main()
