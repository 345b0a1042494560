"""The chart for the README: a panel for each of some rows, a bar for each subject, how many times the limit it needs.

It has a background of its own and follows the colours that the reader prefers, since it is shown on pages that are
light or dark.
"""
import math
from html import escape

from harness.report import ratio
from harness.workloads import PEERS, ROWS

PANELS = {
    "large": "200 × 1 MB: CPU time",
    "small": "10,000 × 4 KB: time",
    "large-tls": "200 × 1 MB over TLS 1.3: CPU time",
    "far": "1,000 × 10 KB, 50 ms away: time",
    "list": "LIST and UIDL of 20,000, parsed: CPU time",
    "maildir": "2,000 × 10 KB into a Maildir, flushed: time",
}

# Octets are not the unit here: these are pixels.
WIDTH, MARGIN, GAP, HEAD = 880, 24, 32, 84
COLUMN = (WIDTH - 2 * MARGIN - GAP) // 2
LABELS, VALUES = 124, 60
LINE, BAR, TITLE, AXIS = 19, 12, 26, 22
# The axis begins left of the limit, so that whoever reaches it has a bar, too.
FIRST = 0.5

# Class: property, in light, in dark. No CSS variables, which not everything that shows SVG knows.
COLOURS = {
    "text": ("fill", "#1f2328", "#f0f6fc"),
    ".soft": ("fill", "#59636e", "#9198a1"),
    ".mine": ("fill", "#0969da", "#4493f8"),
    ".value": ("stroke", "#ffffff", "#0d1117"),
    ".green": ("fill", "#1a7f37", "#3fb950"),
    ".paper": ("fill", "#ffffff", "#0d1117"),
    ".edge": ("stroke", "#d1d9e0", "#3d444d"),
    ".grid": ("stroke", "#e4e8ec", "#262c36"),
    ".limit": ("stroke", "#1a7f37", "#3fb950"),
    ".ours": ("fill", "#0969da", "#4493f8"),
    ".peer": ("fill", "#8c959f", "#6e7681"),
    ".wrong": ("fill", "#cfd6dd", "#373e47"),
}


def _style():
    light, dark = (
        "".join(f"{name} {{ {rule[0]}: {rule[which]}; }} " for name, rule in COLOURS.items()) for which in (1, 2)
    )
    fonts = """
text { font: 12px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
.head { font-size: 17px; font-weight: 600; } .title { font-size: 13px; font-weight: 600; }
.small { font-size: 11px; } .mine { font-weight: 600; }
.value { paint-order: stroke; stroke-width: 3px; }
"""
    return f"{fonts}{light}\n@media (prefers-color-scheme: dark) {{ {dark}}}\n"


def svg(results):
    panels = [panel for panel in (_panel(results, name) for name in PANELS) if panel]
    parts, tops = [], [HEAD, HEAD]
    for title, bars in panels:
        # Each goes where there is more room.
        column = tops.index(min(tops))
        parts += _drawn(title, bars, MARGIN + column * (COLUMN + GAP), tops[column])
        tops[column] += TITLE + LINE * len(bars) + AXIS + 18
    height = max(tops) + 30
    words = [
        _text(MARGIN, 36, "How much popwire and its peers need, in multiples of the limit", "head"),
        _text(
            MARGIN,
            58,
            "The limit is a bare loop that only receives the same octets, or writes and flushes the same files. "
            "Less is better; the scale is logarithmic.",
            "soft",
        ),
    ]
    if any(kind == "wrong" for _, bars in panels for _, _, kind in bars):
        foot = "Faint: hands over wrong mail, the dots still stuffed."
        words.append(_text(MARGIN, height - 20, foot, "small soft"))
    size = f'width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>popwire and its peers, in multiples of the limit</title>",
        f"<style>{_style()}</style>",
        f'<rect class="paper edge" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        *words,
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _panel(results, name):
    """The title and the bars of a row, (subject, value, class), the best first; None if there is nothing to show."""
    row = next(row for row in ROWS if row.name == name)
    measured = results.rows.get(name)
    if not measured:
        return None
    bars = []
    for subject in row.subjects:
        value = measured.ratio(row.figure, subject, "limit")
        if value is None or subject.startswith("limit"):
            continue
        wrong = results.exact.get(subject, "").startswith("wrong")
        bars.append((subject, value, "wrong" if wrong else "peer" if subject in PEERS else "ours"))
    return (PANELS[name], sorted(bars, key=lambda bar: bar[1])) if bars else None


def _drawn(title, bars, left, top):
    """The parts of one panel."""
    values = [value for _, value, _ in bars]
    first, last = min(FIRST, 0.8 * min(values)), max(2.0, *values)
    start, room = left + LABELS, COLUMN - LABELS - VALUES

    def place(value):
        return start + room * math.log(value / first) / math.log(last / first)

    bottom = top + TITLE + LINE * len(bars)
    yield _text(left, top + 12, title, "title")
    # Labels need room.
    step = 10 if place(10) - place(1) > 52 else 100
    tick = 1
    while tick <= last:
        x = place(tick)
        kind = "limit" if tick == 1 else "grid"
        yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top + TITLE - 4}" y2="{bottom}"/>'
        words, kind = ("limit", "small green") if tick == 1 else (f"{tick:,} ×", "small soft")
        yield _text(x, bottom + 14, words, kind, "middle")
        tick *= step
    for number, (subject, value, kind) in enumerate(bars):
        y = top + TITLE + LINE * number
        end = place(value)
        yield _text(start - 8, y + 10, subject, "mine" if kind == "ours" else "", "end")
        yield f'<rect class="{kind}" x="{start}" y="{y}" width="{end - start:.1f}" height="{BAR}" rx="1.5"/>'
        yield _text(end + 6, y + 10, ratio(value).replace("x", "×"), f"value {'mine' if kind == 'ours' else 'soft'}")


def _text(x, y, words, kind, anchor="start"):
    return f'<text x="{x:.1f}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
