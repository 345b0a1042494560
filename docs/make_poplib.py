#!/usr/bin/env python3
"""Writes the table of docs/poplib.md from the list that the differential tests hold true; --check only looks."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "crates/popwire-python/tests"))
sys.dont_write_bytecode = True

from differential import differences  # noqa: E402

BEGIN, END = "<!-- made by make_poplib.py -->\n", "<!-- end -->\n"

page = ROOT / "docs/poplib.md"
text = page.read_text(encoding="utf-8")
head, rest = text.split(BEGIN)
made = head + BEGIN + differences.table() + END + rest.split(END)[1]
if "--check" in sys.argv:
    if made != text:
        sys.exit("docs/poplib.md is out of date: run docs/make_poplib.py")
else:
    page.write_text(made, encoding="utf-8")
