#!/usr/bin/env python3
"""Count the instructions of benches/instructions.rs and compare them with instructions.json.

    gate.py            fail if a count is too high, or if what is counted is not what is recorded
    gate.py --record   write instructions.json; commit it together with the change that explains it

It needs cargo and valgrind. The runner of gungraun, which starts valgrind, is built into the target folder once; that
needs the network, and a minute. Standard library only.
"""
import json
import os
import subprocess
import sys

BENCHES = os.path.dirname(os.path.abspath(__file__))
RECORD = os.path.join(BENCHES, "instructions.json")
ANEW = "python3 crates/popwire-proto/benches/gate.py --record"

# In percent. A change elsewhere in the crate can move a count by one and a half, since the compiler then cuts the crate
# elsewhere; a status line that is copied once too often moves it by fourteen.
TOLERANCE = 3
# Another compiler makes other code of the same source.
TOLERANCE_OTHER_TOOLS = 15


def main(arguments):
    if arguments not in ([], ["--record"]):
        sys.exit(__doc__)
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version=1"))
    counts = count(runner(metadata))
    if arguments:
        before = read().get("instructions", {})
        with open(RECORD, "w", encoding="utf-8") as file:
            json.dump({"made_with": tools(), "instructions": counts}, file, indent=4)
            file.write("\n")
        print_table(before, counts)
        print(f"written: {os.path.relpath(RECORD)}")
    else:
        compare(read(), counts)


def output(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=BENCHES, **options).stdout


def runner(metadata):
    """The runner's path. It must have the version of the library, to the last digit."""
    version = next(package["version"] for package in metadata["packages"] if package["name"] == "gungraun")
    root = os.path.join(metadata["target_directory"], "tools", f"gungraun-{version}")
    program = os.path.join(root, "bin", "gungraun-runner")
    if not os.path.exists(program):
        print(f"building gungraun-runner {version}", flush=True)
        # Unoptimised, in half the time: it only starts valgrind. Without our target folder cargo takes a temporary one.
        env = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
        env |= {"CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0"}
        output("cargo", "install", "--quiet", "--locked", "--debug", "--root", root, f"gungraun-runner@{version}", env=env)
    return program


def count(program):
    """The instructions of each benchmark, by its name."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GUNGRAUN_")}
    env |= {"GUNGRAUN_RUNNER": program, "GUNGRAUN_OUTPUT_FORMAT": "json"}
    lines = output("cargo", "bench", "--locked", "--quiet", "--profile=profiling", "--package=popwire-proto",
                   "--bench=instructions", env=env).splitlines()
    counts = {}
    for summary in (json.loads(line) for line in lines if line.startswith("{")):
        [profile] = summary["profiles"]
        metrics = profile["data"]["total"]["metrics"]
        counts[f"{summary['function_name']}.{summary['id']}"] = metrics["Ir"]["values"]["new"]
    return counts


def tools():
    """What a count depends on besides the source."""
    rustc = output("rustc", "--version", "--verbose").splitlines()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        avx2 = " avx2 " in file.read()
    return {
        "rustc": rustc[0],
        "target": next(line.removeprefix("host: ") for line in rustc if line.startswith("host: ")),
        # memchr and glibc use AVX2 where valgrind shows it to them, which is where the processor has it
        "avx2": avx2,
        "valgrind": output("valgrind", "--version").strip(),
    }


def read():
    if not os.path.exists(RECORD):
        return {}
    with open(RECORD, encoding="utf-8") as file:
        return json.load(file)


def compare(record, counts):
    expected, made_with = record.get("instructions", {}), record.get("made_with", {})
    print_table(expected, counts)
    if expected.keys() != counts.keys():
        names = ", ".join(sorted(expected.keys() ^ counts.keys()))
        sys.exit(f"counted but not recorded, or recorded but not counted: {names}. Record anew: {ANEW}")
    here = tools()
    differing = [name for name, value in here.items() if made_with.get(name) != value]
    for name in differing:
        print(f"{name}: recorded with {made_with.get(name)}, this is {here[name]}")
    if "target" in differing or "avx2" in differing:
        print("NOT COMPARED: these counts say nothing about this kind of machine")
        return
    tolerance = TOLERANCE_OTHER_TOOLS if differing else TOLERANCE
    if differing:
        print(f"so {tolerance} % more are allowed, not {TOLERANCE} %")
    for name, now in counts.items():
        if percent(expected[name], now) < -tolerance:
            print(f"note: {name} needs fewer than recorded; so that it stays so, record anew: {ANEW}")
    sys.stdout.flush()
    slower = [name for name, now in counts.items() if percent(expected[name], now) > tolerance]
    for name in slower:
        change = percent(expected[name], counts[name])
        print(f"{name}: expected {expected[name]:,} instructions, found {counts[name]:,}: {change:+.1f} %, allowed are "
              f"{tolerance} %", file=sys.stderr)
    if slower:
        sys.exit("callgrind_annotate tells where they go; the profiles are in gungraun/popwire-proto in the target folder\n"
                 f"If it must be so, say why in the commit and record anew: {ANEW}")


def print_table(expected, counts):
    print(f"{'instructions of':28}{'recorded':>14}{'now':>14}")
    for name, now in counts.items():
        was = expected.get(name)
        print(f"{name:28}" + (f"{was:14,}{now:14,}{percent(was, now):+8.1f} %" if was else f"{'-':>14}{now:14,}"))


def percent(was, now):
    return round((now / was - 1) * 100, 1) + 0.0  # no -0.0


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"failed: {' '.join(error.cmd)}")
