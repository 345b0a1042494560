#!/usr/bin/env python3
"""Write docs/proofs.md: what each id in the names of the tests stands for, in the tests' own words.

    make_proofs.py           write it
    make_proofs.py --check   fail if it is not what would be written

A test's name begins with the ids it proves: `p_020_a_bare_lf_dot_line_is_data`. Standard library only.
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEST = re.compile(r"(?:\bfn|row!\()\s*((?:(?:[pq]_\d{3}|s\d{2})_)+)([a-z0-9_]+)")
ID = re.compile(r"p_\d{3}|q_\d{3}|s\d{2}")
INTRO = """# What the tests prove

Made by `docs/make_proofs.py` from the names of the tests; `./test` sees to it that it is up to date.

- **P**: a requirement of the protocol: RFC 1939, 2449, 2595, 3206, 5034, 6856, 7817, 8314, and rules of our own where
  the RFCs are silent and servers or attackers are not.
- **Q**: a deviation of a real server that a client has to survive.
- **S**: a statement of the documentation of Python's POP3 object, with which this project began.
"""
TITLES = {"P": "Requirements of the protocol", "Q": "Deviations of real servers", "S": "The POP3 object"}


def proofs():
    found = collections.defaultdict(dict)
    for path in sorted(ROOT.glob("crates/**/*.rs")):
        if any(part.startswith("target") for part in path.parts):
            continue
        crate = path.relative_to(ROOT / "crates").parts[0]
        for ids, words in TEST.findall(path.read_text(encoding="utf-8")):
            for one in ID.findall(ids):
                name = one.upper().replace("_", "-") if one[0] != "s" else "S" + str(int(one[1:]))
                found[name].setdefault(words.replace("_", " "), set()).add(crate)
    return found


def text():
    found = proofs()
    lines = [INTRO]
    for kind, title in TITLES.items():
        lines += [f"## {title}", "", "| id | what is proved | where |", "|---|---|---|"]
        for name in sorted((n for n in found if n[0] == kind), key=lambda n: int(re.sub(r"\D", "", n))):
            crates = sorted(set().union(*found[name].values()))
            lines.append(f"| {name} | {'; '.join(sorted(found[name]))} | {', '.join(crates)} |")
        lines.append("")
    return "\n".join(lines)


def main():
    page, made = ROOT / "docs/proofs.md", text()
    if sys.argv[1:] == ["--check"]:
        if not page.exists() or page.read_text(encoding="utf-8") != made:
            sys.exit("docs/proofs.md is out of date: run docs/make_proofs.py")
    else:
        page.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
