"""results -> table.md and plot.svg (written by hand: a bar chart needs no library)."""

import html
from collections.abc import Mapping

from tests.bench.measure import Samples

Results = Mapping[str, Mapping[str, Samples]]  # operation -> manager -> samples

# operation -> (what it is, budget as text)
OPERATIONS = {
    "main": ("start command to PID 1's main", ""),
    "main, daemon": ("the same without our command: from the warm daemon", "<= 0.5x crun"),
    "start": ("start command until it returns (ours: READY, network up)", "<= 1.0x crun"),
    "exec": ("run `true` inside", "<= 1.0x lxc-attach + one Python start (11 ms)"),
    "stop": ("kill and clean up", ""),
    "stop, daemon": ("the same without our command: from the warm daemon", "<= 0.3x crun"),
    "stop, plain": ("of a plain directory (ours: layout simfs), daemon: no disk to unmount", ""),
    "status": ("ask for the state", "<= 40 ms"),
    "reboot": ("reboot(2) inside until the next PID 1 answers", "<= 60 ms"),
    "chkpnt": ("checkpoint to disk until the command returns: flushed, down", ""),
    "chkpnt, daemon": ("the same without our command: from the warm daemon", "<= 100 ms"),
    "chkpnt, criu": ("of that, CRIU alone", ""),
    "restore": ("restore from disk until the command returns: runs, answers", ""),
    "restore, daemon": ("the same without our command: from the warm daemon", "<= 100 ms"),
    "restore, criu": ("of that, CRIU alone", ""),
    "clone": ("create and start of a Debian 12 container, template unpacked", "<= 100 ms"),
    "vzlist": ("vzlist -a of the containers of the memory table", "<= 60 ms (1000 containers)"),
}
COLOURS = ("#1b6ca8", "#9aa5b1", "#b8c0c8", "#c9a227", "#8f6f9f", "#7aa37a")


def table(results: Results, memory: Mapping[str, Mapping[str, float]], facts: str) -> str:
    """Markdown: medians in ms with the same-round ratio to crun, and memory in KiB."""
    managers = list(dict.fromkeys(name for row in results.values() for name in row))
    lines = [
        facts,
        "",
        f"| operation, ms | {' | '.join(managers)} | budget |",
        "|---" * (len(managers) + 2) + "|",
    ]
    for operation, (text, budget) in OPERATIONS.items():
        row = results.get(operation)
        if row:
            cells = [cell(row.get(name), row.get("crun")) for name in managers]
            lines.append(f"| {text} | {' | '.join(cells)} | {budget} |")
    lines += ["", "min / **median** / p90; in brackets the median of the same-round ratios to crun.", ""]
    heads = list(dict.fromkeys(key for row in memory.values() for key in row))
    if heads:
        lines += [
            f"| memory per idle container, KiB | {' | '.join(heads)} |",
            "|---" * (len(heads) + 1) + "|",
        ]
        for name, kib in memory.items():
            lines.append(f"| {name} | {' | '.join(f'{kib[h]:.0f}' if h in kib else '-' for h in heads)} |")
    return "\n".join(lines) + "\n"


def cell(samples: Samples | None, base: Samples | None) -> str:
    if samples is None or not samples.values:
        return "-"
    low, median, high = samples.spread()
    ratio = samples.ratio_to(base) if base is not None and base is not samples else None
    return f"{low:.1f} / **{median:.1f}** / {high:.1f}" + (f" ({ratio:.2f}x)" if ratio else "")


def plot(results: Results) -> str:
    """An SVG of medians: one group of bars per operation, one colour per manager."""
    managers = list(dict.fromkeys(name for row in results.values() for name in row))
    colour = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(managers)}
    bars: list[str] = []
    y, width, label = 56, 900, 250
    for operation, (text, _) in OPERATIONS.items():
        row = {name: s.median for name, s in results.get(operation, {}).items() if s.median is not None}
        if not row:
            continue
        bars.append(line(12, y + 4, text, "font-weight='bold'"))
        scale = (width - label - 90) / max(row.values())
        for name, median in row.items():
            y += 17
            size = max(1.0, median * scale)
            bars.append(line(label - 8, y + 4, name, "text-anchor='end'"))
            bars.append(f"<rect x='{label}' y='{y - 7}' width='{size:.1f}' height='13' fill='{colour[name]}'/>")
            bars.append(line(label + size + 6, y + 4, f"{median:.1f} ms"))
        y += 34
    head = line(12, 24, "Milliseconds, median of one interleaved run; shorter is better", "font-size='15'")
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{y}' font-family='sans-serif' "
        f"font-size='12'>\n<rect width='100%' height='100%' fill='white'/>\n" + "\n".join([head, *bars]) + "\n</svg>\n"
    )


def line(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {more}>{html.escape(text)}</text>"
