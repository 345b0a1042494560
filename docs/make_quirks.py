#!/usr/bin/env python3
"""Write docs/quirks.md: what popwire does at each deviation that the embedded server can imitate, from the tests.

    make_quirks.py           write it
    make_quirks.py --check   fail if it is not what would be written, or a deviation that has a knob has no test

A test in crates/popwire/tests/quirks is named after the deviation and has its verdict above it. The knobs are those that
its text sets. Standard library only.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = ROOT / "crates/popwire/tests/quirks"
KNOBS = ROOT / "crates/popwire-server/src/quirks"
PERSONALITIES = ROOT / "crates/popwire-server/src/personality"
VERDICTS = ("unharmed", "told", "refused")
INTRO = """# The client beside servers that deviate

Made by `docs/make_quirks.py` from the tests in `crates/popwire/tests/quirks`; `./test` runs them, by the blocking and
the async client, and sees to it that this page is up to date. [deviations.md](deviations.md) has more on each server.

The embedded server imitates a deviation on request: `popwire serve --quirk NAME=VALUE`, or `Builder::quirk`. The
verdict says what popwire makes of it:

- **unharmed**: everything works, as with any other server;
- **told**: everything works, and the caller can find out;
- **refused**: what cannot be had is a typed error, nothing is lost, and the rest goes on.

"""


def servers():
    """Who was seen to deviate, by id."""
    rows = re.findall(r"^\| (Q-\d{3}) \| ([^|]*) \|", (ROOT / "docs/deviations.md").read_text(encoding="utf-8"), re.M)
    return {name: server.strip() for name, server in rows}


def knobs():
    """The names of the knobs, and the ids that each imitates."""
    found = {}
    for path in sorted(KNOBS.glob("*.rs")):
        text = path.read_text(encoding="utf-8")
        for name, ids in re.findall(r'name: "(\w+)",.*?deviations: &\[([\d, \n]*)\]', text, re.S):
            found[name] = [f"Q-{int(number):03}" for number in re.findall(r"\d+", ids)]
    return found


def tests(names):
    """(id, verdict, text, settings) of each test."""
    settings = re.compile(r'"((?:' + "|".join(names) + r')(?:=(?:[^"\\]|\\.)*)?)"')
    products = (PERSONALITIES / "products.rs").read_text(encoding="utf-8")
    personalities = re.compile('"(' + "|".join(re.findall(r'name: "(\w+)"', products)) + ')"')
    for path in sorted(TESTS.glob("*.rs")):
        text = path.read_text(encoding="utf-8")
        pieces = re.split(r"^ *(?:async )?fn ((?:[qp]_\d{3}_)+\w+)\(\)", text, flags=re.M)
        for before, name, body in zip(pieces[0::2], pieces[1::2], pieces[2::2]):
            ids = [f"Q-{number}" for number in re.findall(r"q_(\d{3})", name)]
            if not ids:
                continue
            comment = re.search(r"((?:^ *///.*\n)+)(?: *#\[.*\n)*\s*\Z", before, re.M)
            words = " ".join(line.strip().removeprefix("///").strip() for line in comment[1].splitlines()) if comment else ""
            verdict, _, said = words.partition(":")
            if verdict not in VERDICTS or not said.strip():
                sys.exit(f"{path.name}: {name} has no verdict above it")
            # What stands before the next test's comment is this test's.
            body = re.split(r"\n\n *///", body)[0]
            used = list(dict.fromkeys(settings.findall(body)))
            if ".personality(" in body:
                used += [f"personality {who}" for who in dict.fromkeys(personalities.findall(body))]
            for one in ids:
                yield one, verdict, said.strip(), used


def text():
    named, known = servers(), knobs()
    rows = {}
    for one, verdict, said, used in tests(known):
        row = rows.setdefault(one, ([], []))
        row[0].append(f"**{verdict}**: {said}")
        row[1].extend(setting for setting in used if setting not in row[1])
    missing = sorted({one for ids in known.values() for one in ids} - rows.keys())
    if missing:
        sys.exit(f"no test in crates/popwire/tests/quirks for {', '.join(missing)}")
    lines = ["| id | server | imitated by | verdict |", "|---|---|---|---|"]
    for one, (verdicts, used) in sorted(rows.items()):
        if one not in named:
            sys.exit(f"{one} has no line in docs/deviations.md")
        settings = ", ".join("`" + setting.replace("|", "\\|") + "`" for setting in used)
        lines.append(f"| {one} | {named[one]} | {settings} | {' '.join(verdicts)} |")
    return INTRO + f"{len(rows)} deviations.\n\n" + "\n".join(lines) + "\n"


def main():
    page, made = ROOT / "docs/quirks.md", text()
    if sys.argv[1:] == ["--check"]:
        if not page.exists() or page.read_text(encoding="utf-8") != made:
            sys.exit("docs/quirks.md is out of date: run docs/make_quirks.py")
    else:
        page.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
