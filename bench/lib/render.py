"""Table (Markdown) and plots (SVG, written by hand) from saved figures. Runs nothing."""

import os
from math import floor, log10 as log
from statistics import median

from rows import FERRO, JAVA, figure, judge, worst_second

COLOURS = {JAVA: "#c9704c", FERRO: "#2f6f9f"}
NAMES = {JAVA: "Java ZooKeeper", FERRO: "Ferrokeeper"}


def write(suite, results, directory, name):
    with open(os.path.join(directory, f"{name}.md"), "w") as f:
        f.write(table(suite, results))
    plots = [("throughput", throughput_plot), ("cpu", cpu_plot), ("latency", latency_plot)]
    plots.append(("changes", changes_plot) if suite.name == "ensemble" else ("memory", memory_plot))
    for suffix, draw in plots:
        svg = draw(suite, results)
        if svg:
            with open(os.path.join(directory, f"{name}-{suffix}.svg"), "w") as f:
                f.write(svg)


def number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def ratio_text(ferro, java):
    if not java or not ferro:
        return "-"
    return f"{ferro / java:.1f}" if ferro >= java else f"1/{java / ferro:.1f}"


def halting(machine):
    """What a wake-up costs in a virtual machine depends on it."""
    waits = machine.get("halt_poll_us")
    if waits is None:
        return ""
    return f"Idle processors wait {waits} us for work before they halt. " if waits else "Idle processors halt at once. "


def rounds(run):
    """How often it was measured, as the beginning of a sentence."""
    if run.get("rounds") == 1:
        return "Each figure is from one round"
    return f"Each figure is the median of {run.get('rounds', '')} alternating rounds"


def table(suite, results):
    machine, run = results.get("machine", {}), results.get("run", {})
    lines = [
        f"# Java ZooKeeper {machine.get('zookeeper', '')} and Ferrokeeper, {suite.title}",
        "",
        f"{machine.get('cpu', '')}, {machine.get('memory', '')}, Linux {machine.get('kernel', '')}; "
        f"{machine.get('java', '')}, heap {machine.get('heap', '4g')}. {halting(machine)}{run.get('date', '')}.",
        "",
        f"{suite.setting} {rounds(run)} of {run.get('seconds', '')} s after warm-up.",
        "",
        "| work | figure | Java | Ferrokeeper | ratio | target | met |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for row in suite.rows:
        found = results["rows"].get(row.name)
        if not found:
            continue
        title = row.title
        for target in row.targets:
            java, ferro, value, met = judge(target, found)
            ratio = ratio_text(ferro, java)
            if target.against == "floor" and value is not None:
                ratio = f"{value:.2f} (floor {figure(found['floor'], 'sum_of_p50_us'):.1f} us)"
            verdict = "-" if met is None else "yes" if met else "**no**"
            lines.append(
                f"| {title} | {target.label}, {target.unit} | {number(java, target.digits)} | "
                f"{number(ferro, target.digits)} | {ratio} | {target.wanted()} | {verdict} |"
            )
            title = ""
        for kind, why in found.get("failed", {}).items():
            lines.append(f"| {title or row.title} | failed: {kind} | | | | {why} | **no** |")
    extra = generator(suite, results) + bare(suite, results) + extras(results)
    return "\n".join(lines + extra) + "\n"


def generator(suite, results):
    """Where the load generator took a whole core, the throughput is as much its own as the server's."""
    def cores(name, kind, which):
        found = results["rows"].get(name, {}).get(kind)
        busy = figure(found, lambda r: r[which] * r["per_second"] / 1e6 if r.get(which) is not None else None)
        return "-" if busy is None else f"{busy:.2f}"

    rows = [row for row in suite.load_rows if results["rows"].get(row.name)]
    if not rows:
        return []
    lines = ["", "How many cores were busy, the server's and the load generator's (one thread, so 1.00 at most):", "",
             "| work | Java | its load | Ferrokeeper | its load |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        each = [cores(row.name, kind, which) for kind in (JAVA, FERRO)
                for which in ("cpu_us_per_op", "own_cpu_us_per_op")]
        lines.append(f"| {row.title} | " + " | ".join(each) + " |")
    return lines


def bare(suite, results):
    """How much of what is possible here the servers reach."""
    rows = [(row, results["rows"].get(row.name, {})) for row in suite.load_rows]
    rows = [(row, found) for row, found in rows if found.get("bare")]
    if not rows:
        return []
    lines = ["", "What a server could reach at most: the same load at one thread that answers at once and keeps nothing (no "
             "session, no tree, no log: `zkload bare`). What it takes is the kernel's, and what bounds it is the generator's.",
             "", "| work | nothing done, /s | us/op | p50, us | Ferrokeeper reaches | Java reaches |",
             "|---|---:|---:|---:|---:|---:|"]
    for row, found in rows:
        most = figure(found["bare"], "per_second")

        def part(kind):
            done = figure(found.get(kind), "per_second")
            return "-" if done is None else f"{100 * done / most:.0f} %"

        lines.append(f"| {row.title} | {number(most, 0)} | {number(figure(found['bare'], 'cpu_us_per_op'), 2)} | "
                     f"{number(figure(found['bare'], 'p50_us'), 1)} | {part(FERRO)} | {part(JAVA)} |")
    return lines


def extras(results):
    """Figures without a target that belong to the picture."""
    lines = []
    for kind in (JAVA, FERRO):
        filled = results["rows"].get("fill-1m", {}).get(kind)
        if filled:
            one = filled[0]
            lines.append(
                f"- {NAMES[kind]}, filling {one['znodes']:,} znodes: {one['fill_per_second']:,.0f}/s, "
                f"{one['fill_cpu_us_per_op']:.1f} us of CPU each; RSS {one['rss_mb']:,.0f} MB, "
                f"{one['rss_after_restart_mb']:,.0f} MB after a restart; restart after SIGKILL "
                f"{one['restart_after_kill_s']:.2f} s."
            )
        empty = results["rows"].get("empty", {}).get(kind)
        if empty:
            lines.append(f"- {NAMES[kind]}, empty: serves {figure(empty, 'start_s'):.3f} s after exec.")
    kept = figure(results["rows"].get("fill-5m", {}).get(FERRO), "rate_kept_same_nodes")
    if kept is not None:
        lines.append(f"- Set rate with 5 million znodes when only 10 thousand of them are written: {kept:.2f} times.")
    for kind in (JAVA, FERRO):
        steady = results["rows"].get("steady", {}).get(kind)
        if steady:
            lines.append(
                f"- {NAMES[kind]}, steady writes while a follower joins: {figure(steady, 'per_second'):,.0f}/s asked and "
                f"done, p50 {figure(steady, 'p50_us'):,.0f} us, p99.9 {figure(steady, 'p99_9_us'):,.0f} us, worst second "
                f"{figure(steady, worst_second):.2f} of the average; the follower needed {figure(steady, 'join_s'):.1f} s."
            )
        failover = results["rows"].get("failover", {}).get(kind)
        if failover:
            times = [one["ms"] for one in failover]
            lines.append(f"- {NAMES[kind]}, failover: median {median(times):,.0f} ms, worst {max(times):,.0f} ms of "
                         f"{len(times)}.")
    others = others_cores(results)
    if others is not None:
        lines.append(f"- Cores busy with anything else during the measurements: {others:.2f} at the median"
                     + (" (**too much: throughput and latency are unreliable**)." if others > 0.2 else "."))
    return [""] + lines if lines else []


def others_cores(results):
    """A busy machine must not pass for a quiet one."""
    seen = [r["others_cores"] for row in results["rows"].values() for kind in (JAVA, FERRO)
            for r in row.get(kind, []) if "others_cores" in r]
    return median(seen) if seen else None


# Plots. White background, so that they can be read on dark pages too.

def svg(width, height, parts):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">')
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"


def text(x, y, words, anchor="start", size=12, colour="#222222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{words}</text>'


def bar(x, y, width, height, colour):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" fill="{colour}"/>'


def legend(x, y):
    parts = []
    for kind in (JAVA, FERRO):
        parts += [bar(x, y - 9, 10, 10, COLOURS[kind]), text(x + 15, y, NAMES[kind])]
        x += 130
    return parts


def pairs_plot(heading, rows):
    """A pair of bars for each (title, java, ferro, unit), each pair on its own scale: the lengths show the ratio."""
    rows = [r for r in rows if r[1] is not None or r[2] is not None]
    if not rows:
        return None
    left, full, step = 230, 330, 44
    parts = [text(15, 25, heading, size=15)] + legend(left, 48)
    for n, (title, java, ferro, unit) in enumerate(rows):
        y = 64 + n * step
        parts.append(text(left - 10, y + 19, title, "end"))
        most = max(v for v in (java, ferro) if v)
        for k, (kind, value) in enumerate(((JAVA, java), (FERRO, ferro))):
            if value is None:
                continue
            width = full * value / most
            parts += [bar(left, y + k * 16, width, 14, COLOURS[kind]),
                      text(left + width + 6, y + k * 16 + 11, f"{short(value)}{unit}", size=11)]
    return svg(700, 64 + len(rows) * step + 10, parts)


def short(value):
    """Three digits that count, with k and M where that is not enough."""
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    if value >= 1e4:
        return f"{value / 1e3:.3g} k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def load_figures(suite, results, which, unit):
    out = []
    for row in suite.load_rows:
        found = results["rows"].get(row.name, {})
        out.append((row.title, figure(found.get(JAVA), which), figure(found.get(FERRO), which), unit))
    return out


def throughput_plot(suite, results):
    return pairs_plot("Operations per second (longer is better)", load_figures(suite, results, "per_second", "/s"))


def cpu_plot(suite, results):
    return pairs_plot("Server CPU time for an operation (shorter is better)",
                      load_figures(suite, results, "cpu_us_per_op", " us"))


def changes_plot(_, results):
    shown = [("failover", "ms", "leader killed to first write", " ms"),
             ("join", "join_s", "wiped follower joins", " s"),
             ("steady", "p99_9_us", "p99.9 of writes meanwhile", " us")]
    rows = []
    for name, which, title, unit in shown:
        found = results["rows"].get(name, {})
        rows.append((title, figure(found.get(JAVA), which), figure(found.get(FERRO), which), unit))
    return pairs_plot("Failover, and a follower that joins with 1 million znodes (shorter is better)", rows)


def memory_plot(_, results):
    shown = [("empty", "rss_mb", "RSS, empty", " MB"), ("idle", "rss_mb", "RSS, 10,000 idle sessions", " MB"),
             ("fill-1m", "rss_mb", "RSS, 1 million znodes", " MB"),
             ("fill-1m", "disk_mb", "disk, 1 million znodes", " MB"),
             ("fill-1m", "restart_s", "restart, 1 million znodes", " s")]
    rows = []
    for name, which, title, unit in shown:
        found = results["rows"].get(name, {})
        rows.append((title, figure(found.get(JAVA), which), figure(found.get(FERRO), which), unit))
    return pairs_plot("Memory, disk, restart (shorter is better)", rows)


def latency_plot(suite, results):
    """Latency against percentile on logarithmic axes, for the rows in which latency is a target."""
    shown = [(row.title, results["rows"][row.name]) for row in suite.load_rows
             if row.name in ("get-50x20", "set-50x20", "set-1x1", "mixed-50") and results["rows"].get(row.name)]
    shown = [(title, found) for title, found in shown if found.get(JAVA) or found.get(FERRO)]
    if not shown:
        return None
    points = ["p50", "p90", "p99", "p99_9", "p99_99"]
    width, height = 300, 190
    parts = [text(15, 25, "Latency in the closed loop, by percentile (lower is better)", size=15)] + legend(15, 48)
    for n, (title, found) in enumerate(shown):
        left, top = 60 + n % 2 * (width + 60), 85 + n // 2 * (height + 60)
        lines = {kind: [figure(found.get(kind), f"{p}_us") for p in points] for kind in (JAVA, FERRO) if found.get(kind)}
        values = [v for line in lines.values() for v in line]
        low, high = decade(min(values)), decade(max(values)) + 1
        parts.append(text(left, top - 8, title))
        for power in range(low, high + 1):
            y = top + height * (high - power) / (high - low)
            parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="#dddddd"/>')
            parts.append(text(left - 6, y + 4, short_time(10.0 ** power), "end", 10))
        for k, point in enumerate(points):
            x = left + width * k / (len(points) - 1)
            parts.append(text(x, top + height + 16, point.replace("_", "."), "middle", 10))
        for kind, line in lines.items():
            xy = [(left + width * k / (len(points) - 1), top + height * (high - log10(v)) / (high - low))
                  for k, v in enumerate(line)]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in xy)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[kind]}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[kind]}"/>' for x, y in xy]
    return svg(60 + 2 * (width + 60), 85 + (len(shown) + 1) // 2 * (height + 60), parts)


def log10(value):
    return log(max(value, 1e-3))


def decade(value):
    return floor(log10(value))


def short_time(us):
    return f"{us / 1e6:g} s" if us >= 1e6 else f"{us / 1e3:g} ms" if us >= 1e3 else f"{us:g} us"
