#!/usr/bin/env python3
"""Fail if a test or a text names an id that docs/requirements.md and docs/deviations.md do not list.

    check_ids.py

Ids stand in the names of tests (`p_020_...`, `q_095_...`, `s07_...`) and as P-020 or Q-095 in *.rs and *.md.
Standard library only.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEST = re.compile(r"(?:\bfn|row!\()\s*(\w+)")
IN_TEST = re.compile(r"(?:^|_)(?:([pq])_(\d{3})|(s)(\d{2}))(?=_)")
IN_TEXT = re.compile(r"\b[PQ]-\d{3}\b")
LISTED = re.compile(r"^\| ([PQ]-\d{3}|S\d{1,2}) \|", re.MULTILINE)
SKIPPED = re.compile(r"target|\.|node_modules")


def sources():
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("crates/**/*.[rm][sd]")]):
        if not any(SKIPPED.match(part) for part in path.relative_to(ROOT).parts):
            yield path, path.read_text(encoding="utf-8")


def main():
    pages = [ROOT / "docs/requirements.md", ROOT / "docs/deviations.md"]
    rows = [one for page in pages for one in LISTED.findall(page.read_text(encoding="utf-8"))]
    wrong = [f"{one}: listed twice" for one in sorted(set(rows)) if rows.count(one) > 1]
    named = {}
    for path, text in sources():
        ids = IN_TEXT.findall(text)
        for name in TEST.findall(text) if path.suffix == ".rs" else []:
            ids += [f"{pq.upper()}-{n}" if pq else f"S{int(m)}" for pq, n, _, m in IN_TEST.findall(name)]
        for one in ids:
            named.setdefault(one, path.relative_to(ROOT))
    wrong += [f"{one}: not listed in docs, named in {named[one]}" for one in sorted(set(named) - set(rows))]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(named)} ids are named in tests and texts, and all are listed in docs")


if __name__ == "__main__":
    main()
