"""The tables, in Markdown."""
from harness.workloads import DOORS, MIB, PEERS, POLLS, ROWS

HELD, MISSED = "held", "**MISSED**"


def ratio(value):
    return f"{value:.2f} x" if value < 9.95 else f"{value:,.0f} x"


def amount(figure, value):
    if figure == "memory":
        return f"{value / MIB:.1f} MiB"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def judged(bar, measured):
    """The value of each popwire subject that this bar is for, or None."""
    values = {}
    for name in measured.series:
        if name.startswith("popwire") and name.endswith(bar.only):
            if bar.against:
                values[name] = measured.ratio(bar.figure, name, bar.against)
            else:
                figure = measured.figure(bar.figure, name)
                values[name] = None if figure is None else figure / bar.unit
    return values


def holds(bar, value):
    if value is None:
        return False
    # As it is printed, with two digits
    return int(value) <= bar.value if bar.whole else round(value, 2) <= round(bar.value, 2)


def shown(bar, value):
    if value is None:
        return "not measured"
    if bar.against == "mpop":
        return f"{1 / value:.2f} x its rate"
    if bar.figure == "memory":
        return f"{value:.1f} MiB"
    return ratio(value) if bar.against else f"{value:.2f}"


def bars(results):
    """Lines of the table of bars, and whether all of them hold."""
    lines, good = [], True
    for row in ROWS:
        measured = results.rows.get(row.name)
        if not measured:
            continue
        for bar in row.bars:
            values = judged(bar, measured)
            if not values:
                continue
            held = all(holds(bar, value) for value in values.values())
            good &= held
            cells = [shown(bar, value) for value in values.values()]
            base = measured.figure(bar.figure, bar.against) if bar.against else None
            against = f"{amount(bar.figure, base)}{' (mpop)' if bar.against == 'mpop' else ''}" if base else ""
            doors = cells if len(cells) == 2 else [f"{cells[0]} (`popwire fetch`)", ""]
            title = _title(row, measured)
            lines.append([str(row.number), title, bar.text, against, *doors, HELD if held else MISSED])
    for name, bar, value, held in decoder(results):
        good &= held
        lines.append(["10", f"decoder alone, {name}", bar, "", value, "", HELD if held else MISSED])
    return lines, good


def decoder(results):
    """The bars of the decoder: name, bar, value, held."""
    for line in results.decoder:
        name, rate, scan = line["text"], line["decoder_gb_s"], line["memmem_gb_s"]
        if name == "base64":
            share = rate / scan
            text = f"{share:.0%} ({rate:.1f} of {scan:.1f} GB/s)"
            yield name, "at least 60 % of memmem", text, round(share, 2) >= 0.6
        else:
            yield name, "at least 4 GB/s", f"{rate:.1f} GB/s (memmem {scan:.1f})", round(rate, 1) >= 4


def _title(row, measured):
    """With the count of this run, which may have been a quick one."""
    return row.title if measured.messages == row.messages else f"{row.title} (here {measured.messages:,})"


def peers(results):
    """The header and the lines of the table of all subjects."""
    rows = [row for row in ROWS if row.name in results.rows]
    header = ["", *(f"{row.number}. {row.title}" for row in rows)]
    kinds = {"cpu": "CPU", "wall": "time", "memory": "memory, time"}
    units = ["", *("round trips" if row.job == "poll" else kinds[row.figure] for row in rows)]
    names = ["limit", *DOORS, "popwire fetch", *PEERS]
    lines = []
    for name in names:
        cells = [_cell(row, results.rows[row.name], name) for row in rows]
        if any(cells):
            mark = " †" if results.exact.get(name, "").startswith("wrong") else ""
            bold = "**" if name.startswith("popwire") else ""
            lines.append([f"{bold}{name}{bold}{mark}", *cells])
    return header, units, lines


def _cell(row, measured, name):
    if row.job == "poll":
        ways = [name] if name in PEERS else [poll for poll in POLLS if poll.startswith(f"{name} ")]
        trips = [measured.figure("wall", way) for way in ways]
        return ", ".join(f"{trip / 0.050:.1f}" for trip in trips if trip is not None)
    if measured.figure(row.figure, name) is None:
        return ""
    # Of memory it is the amount that is of interest.
    figures = ["memory", "wall"] if row.job == "memory" else [row.figure]
    about = "~" if measured.series[name].count else ""
    return about + ", ".join(_compared(measured, figure, name) for figure in figures)


def _compared(measured, figure, name):
    times = measured.ratio(figure, name, "limit") if name != "limit" and figure != "memory" else None
    return amount(figure, measured.figure(figure, name)) if times is None else ratio(times)


def notes(results):
    """What has to be known to read the tables."""
    for name, made in results.exact.items():
        if made != "exact":
            yield f"{name}: {made}."
    for row in ROWS:
        measured = results.rows.get(row.name)
        if not measured:
            continue
        scaled = {}
        for name, series in measured.series.items():
            if series.count:
                scaled.setdefault(series.count, []).append(name)
        if scaled:
            text = "; ".join(f"{count:,}: {', '.join(names)}" for count, names in sorted(scaled.items()))
            yield f"Row {row.number}, extrapolated from fewer than {measured.messages:,} messages ({text})."
        loops = [name for name in measured.series if name.startswith("limit ") and measured.figure("wall", name)]
        if loops:
            text = ", ".join(f"{name[6:]} {amount('wall', measured.figure('wall', name))}" for name in loops)
            best = min(loops, key=lambda name: measured.figure("wall", name))
            yield f"Row {row.number}, the loops over files: {text}; the limit is {best[6:]}."
    reasons = {}
    for row in ROWS:
        for name, series in results.rows[row.name].series.items() if row.name in results.rows else ():
            if series.reason:
                reasons.setdefault((name, series.reason), []).append(str(row.number))
    for (name, reason), numbers in reasons.items():
        rows = f"Row{'s' if len(numbers) > 1 else ''} {' and '.join(numbers)}"
        yield f"{rows}, {name}: {reason}."


def markdown(results):
    """The report, and whether all bars hold."""
    lines, good = bars(results)
    facts = results.facts
    text = ["# Results", "", facts["how"], ""]
    text += table(["#", "workload", "bar", "limit", "popwire blocking", "popwire tokio", ""], lines)
    if results.rows:
        header, units, lines = peers(results)
        text += ["", "`limit` is shown as it was, all others as how many times as much they need. Less is better.", ""]
        text += table(header, [units, *lines])
        text += ["", "~ extrapolated from fewer messages. † hands over wrong mail.", ""]
    text += [f"- {note}" for note in notes(results)]
    if facts.get("versions"):
        text += ["", "Versions: " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()) + "."]
    return "\n".join(text) + "\n", good


def table(header, lines):
    return [f"| {' | '.join(cells)} |" for cells in [header, ["---"] * len(header), *lines]]
