#!/usr/bin/env python3
"""The nightly benchmark: generates usage, runs Conto and a hand-written DuckDB script in turn, and compares.

    python3 nightly.py parquet --series 70000 --days 1        raw Parquet to invoices, both programs
    python3 nightly.py jsonl   --series 7000  --days 1        the same from Ceilometer's JSON lines
    python3 nightly.py nights  --series 7000  --days 31       a run each night, and the costs of nights 31 and 2
    python3 nightly.py month   --series 70000 --days 31       all days in one run, then priced again with another rule
    python3 nightly.py rules   --series 7000  --days 1        5,000 rules against 10
    python3 nightly.py steps   --series 7000                  metering against decoding, from `cargo bench --bench steps`
    python3 nightly.py growth                                 cost as samples and projects grow, as docs/images/growth.svg
    python3 nightly.py table                                  all but `growth`, as the table of docs/internals/benchmarks.md

A scale is a fraction of the sizes of the table: `table --scale 0.01` needs a minute.

Seconds are user + system time of the process, and memory is its peak, both as measured by the kernel. Runs alternate, and
the table shows medians. If the control totals (lines, quantity, net amount) of two runs differ, the script fails. It needs
DuckDB (`pip install duckdb`) and a release build of Conto.
"""
import argparse, csv, decimal, math, os, re, shutil, statistics, subprocess, sys, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
decimal.getcontext().prec = 60


class Measured:
    def __init__(self, cpu, wall, peak, output):
        self.cpu, self.wall, self.peak, self.output = cpu, wall, peak, output


def measure(command, **options):
    """Runs a command and returns its CPU seconds, wall seconds, peak memory in MiB and output."""
    begin = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{output}")
    return Measured(usage.ru_utime + usage.ru_stime, time.monotonic() - begin, usage.ru_maxrss / 1024, output)


class Bench:
    def __init__(self, options):
        self.options = options
        self.directory = Path(options.out).resolve()
        self.conto = Path(options.conto).resolve()
        if not self.conto.exists():
            sys.exit(f"there is no {self.conto}: build it with `cargo build --release`, or give another path with --conto")

    def usage(self, series, days, jsonl=False, projects=2000, interval=None):
        """The directory of generated usage. Equal arguments generate it once."""
        interval = interval or self.options.interval
        where = self.directory / f"usage-{series}-{days}-{projects}-{interval}{'-jsonl' if jsonl else ''}"
        if not (where / "complete").exists():
            command = [sys.executable, HERE / "generate.py", "--series", series, "--days", days, "--projects", projects, "--interval", interval, "--out", where]
            print(f"generating {where.name}", file=sys.stderr)
            measure(command + (["--jsonl"] if jsonl else []))
            (where / "complete").touch()
        return where

    def place(self, name, usage, pattern="*", rules=None):
        """Creates a directory with configuration, usage and rules."""
        place = self.directory / "runs" / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        config = (HERE / ("conto-jsonl.toml" if pattern.endswith("jsonl") else "conto.toml")).read_text()
        (place / "conto.toml").write_text(re.sub(r"^lake = .*$", 'lake = "lake"', config, flags=re.M))
        (place / "usage").symlink_to(usage / "usage", target_is_directory=True) if usage else (place / "usage").mkdir()
        shutil.copytree(rules or HERE / "rating-rules", place / "rating-rules")
        return place

    def run(self, place, *arguments):
        command = [self.conto, "run", "--config", place / "conto.toml", "--period", self.options.period, "--documents", "none", *arguments]
        return measure(command)

    def duckdb(self, usage, jsonl=False):
        command = [sys.executable, HERE / "duckdb_nightly.py", usage, "--threads", os.cpu_count(), "--out", self.directory / "duckdb_lines.csv"]
        return measure(command + (["--jsonl"] if jsonl else []))

    def conto_totals(self, place):
        documents = place / "lake/documents" / self.options.period
        path = documents / (documents / "latest").read_text().strip() / "invoice_lines.csv"
        return totals(path)

    def duckdb_totals(self):
        return totals(self.directory / "duckdb_lines.csv")


def totals(path):
    """The number of lines, the quantity and the net amount of a CSV file of invoice lines."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    add = lambda column: sum((decimal.Decimal(row[column]) for row in rows), decimal.Decimal(0))
    return len(rows), add("quantity").normalize(), add("net_amount")


def must_agree(one, other, what):
    if one != other:
        sys.exit(f"control totals differ, {what}: {one} and {other}")


def figures(runs):
    return f"{statistics.median(run.cpu for run in runs):.2f} s CPU, {statistics.median(run.wall for run in runs):.2f} s, {max(run.peak for run in runs):.0f} MiB"


def against_duckdb(bench, jsonl):
    o = bench.options
    usage = bench.usage(o.series, o.days, jsonl)
    ours, theirs = [], []
    for _ in range(o.runs):
        place = bench.place("parquet" if not jsonl else "jsonl", usage, "*.jsonl" if jsonl else "*.parquet")
        ours.append(bench.run(place))
        theirs.append(bench.duckdb(usage, jsonl))
        must_agree(bench.conto_totals(place), bench.duckdb_totals(), "Conto and DuckDB")
    lines, quantity, net = bench.duckdb_totals()
    print(f"| {o.series * o.days * 86400 // o.interval:,} samples | Conto | DuckDB | ratio |\n| --- | --- | --- | --- |")
    row = lambda name, pick, form: print(f"| {name} | {form(pick(ours))} | {form(pick(theirs))} | {pick(theirs) / pick(ours):.2f} |")
    row("CPU seconds", lambda runs: statistics.median(run.cpu for run in runs), "{:.2f}".format)
    row("seconds", lambda runs: statistics.median(run.wall for run in runs), "{:.2f}".format)
    row("peak MiB", lambda runs: statistics.median(run.peak for run in runs), "{:.0f}".format)
    row("CPU seconds of the quickest run", lambda runs: min(run.cpu for run in runs), "{:.2f}".format)
    print(f"\n{o.runs} runs of each, in turn; {lines:,} lines, quantity {quantity}, net amount {net}")
    cpu = lambda runs: statistics.median(run.cpu for run in runs)
    peak = statistics.median(run.peak for run in ours)
    what, goal = ("raw JSON lines", "1/2 of DuckDB's CPU") if jsonl else ("raw Parquet", "1/5 of DuckDB's CPU, 512 MiB")
    measured = f"{cpu(ours):.1f} s against {cpu(theirs):.1f} s CPU: 1/{cpu(theirs) / cpu(ours):.1f}; {peak:.0f} MiB against {statistics.median(run.peak for run in theirs):.0f} MiB"
    return [(f"{what}, {o.series * o.days * 86400 // o.interval:,} samples", goal, measured)]


def nights(bench):
    """The cost of intake and metering for each of many nights with one day of usage."""
    o = bench.options
    usage = bench.usage(o.series, o.days)
    days = sorted((usage / "usage").glob("*.parquet"))
    each = [[] for _ in days]
    for _ in range(o.runs):
        place = bench.place("nights", None)
        for day, runs in zip(days, each):
            (place / "usage" / day.name).symlink_to(day)
            runs.append(measure([bench.conto, "intake", "--config", place / "conto.toml"]))
    bench.run(place)
    whole = bench.place("nights-at-once", usage, "*.parquet")
    bench.run(whole)
    must_agree(bench.conto_totals(place), bench.conto_totals(whole), "night by night and all at once")
    for day, runs in zip(days, each):
        print(f"{day.stem}: {figures(runs)}")
    cpu = [statistics.median(run.cpu for run in runs) for runs in each]
    print(f"the last night costs {cpu[-1] / cpu[1]:.3f} times the second; {o.runs} runs of each")
    return [(f"{len(days)} nights, one by one", "intake and metering of the last cost 1.1 times the second", f"{cpu[-1] / cpu[1]:.2f} times ({cpu[1]:.2f} s and {cpu[-1]:.2f} s CPU)")]


def month(bench):
    o = bench.options
    usage = bench.usage(o.series, o.days)
    place = bench.place("month", usage, "*.parquet")
    samples = o.series * o.days * 86400 // o.interval
    first = bench.run(place)
    print(f"{samples:,} samples in one run: {figures([first])}; totals {bench.conto_totals(place)}", flush=True)
    prices = place / "rating-rules/prices.toml"
    prices.write_text(prices.read_text().replace('unit_price = "0.004"', 'unit_price = "0.005"').replace('cost = "0.04"', 'cost = "0.05"'))
    again = bench.run(place)
    print(f"priced again after a rule changed: {figures([again])}; totals {bench.conto_totals(place)}")
    return [(f"a month in one run, {samples:,} samples", "1 GiB", f"{first.peak:.0f} MiB, {first.cpu:.0f} s CPU"),
            ("pricing that month again after a rule changed", "20 s, without reading samples", f"{again.cpu:.1f} s CPU, {again.wall:.1f} s, {again.peak:.0f} MiB")]


def rules(bench):
    """Thousands of rules for one flavor each, against the seven of the benchmark."""
    o = bench.options
    usage = bench.usage(o.series, o.days)
    few, many = [], []
    thousands = bench.directory / "rules-many"
    shutil.rmtree(thousands, ignore_errors=True)
    shutil.copytree(HERE / "rating-rules", thousands)
    with open(thousands / "many.toml", "w") as file:
        file.write('currency = "EUR"\n')
        for number in range(o.many - 7):
            # Each rule prices a flavor that no resource has, so it is evaluated and never applies.
            file.write(f'\n[[rule]]\nid = "special-{number}"\nmeter = "instance"\nwhen = "flavor = \'x{number}\'"\npriority = 1\nsku = "SPECIAL-{number}"\n'
                       f'service = "Compute"\ndescription = "Special"\nunit_price = "0.{number + 1:06}"\n'
                       f'[[rule.example]]\nname = "one"\nquantity = "1"\nflavor = "x{number}"\ncost = "0.{number + 1:06}"\n')
    for _ in range(o.runs):
        place = bench.place("rules-few", usage, "*.parquet")
        few.append(bench.run(place))
        place_many = bench.place("rules-many", usage, "*.parquet", thousands)
        many.append(bench.run(place_many))
        must_agree(bench.conto_totals(place), bench.conto_totals(place_many), "few rules and many")
    ratio = statistics.median(run.cpu for run in many) / statistics.median(run.cpu for run in few)
    print(f"7 rules: {figures(few)}\n{o.many:,} rules: {figures(many)}\nratio {ratio:.2f}")
    return [(f"{o.many:,} rules against 7", "1.2 times", f"{ratio:.2f} times")]


def steps(bench):
    """The cost of metering against its lower limit: decoding the three columns that it needs."""
    output = measure(["cargo", "bench", "--bench", "steps", "--", bench.options.series], cwd=HERE.parent.parent).output
    print(output)
    nanoseconds = lambda step: float(re.search(rf"^{step}.* ([0-9.]+) ns$", output, re.M).group(1))
    decoding, metering = nanoseconds("decoding stream, time and quantity"), nanoseconds("metering a day from its files")
    return [("metering a day from the lake", "2 times the decoding of stream, time and quantity", f"{metering / decoding:.1f} times ({metering:.0f} ns against {decoding:.0f} ns a sample)")]


def table(bench):
    """All benchmarks at the sizes of the documentation."""
    o = bench.options
    rows = []
    for what, series, days, runs in ((lambda b: against_duckdb(b, False), 70_000, 1, o.runs), (lambda b: against_duckdb(b, True), 7_000, 1, o.runs),
                                     (steps, 7_000, 1, 1), (nights, 7_000, 31, 1), (rules, 7_000, 1, o.runs), (month, 70_000, 31, 1)):
        o.series, o.days, o.runs = max(40, int(series * o.scale)), days, runs
        rows += what(bench)
    print("\n| work | goal | measured |\n| --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def growth(bench):
    """CPU seconds and memory as samples grow (projects fixed) and as projects grow (samples fixed)."""
    o = bench.options
    by_samples = [(3500, 1, 2000), (14000, 1, 2000), (70000, 1, 2000)] + ([(70000, 5, 2000)] if o.large else [])
    by_projects = [(14000, 1, 100), (14000, 1, 1000), (14000, 1, 10000)]
    curves = {}
    for name, points in (("samples", by_samples), ("projects", by_projects)):
        for series, days, projects in points:
            usage = bench.usage(series, days, projects=projects)
            runs = []
            for _ in range(o.runs):
                place = bench.place("growth", usage, "*.parquet")
                runs.append(bench.run(place))
            x = series * days * 288 if name == "samples" else projects
            cpu, peak = statistics.median(run.cpu for run in runs), max(run.peak for run in runs)
            curves.setdefault(name, []).append((x, cpu, peak))
            print(f"{series * days * 288:,} samples, {projects:,} projects: {figures(runs)}", flush=True)
    (HERE.parent.parent / "docs/images/growth.svg").write_text(chart(curves))


def chart(curves):
    """Two plots side by side, both axes logarithmic: CPU seconds (dots on a line) with memory written at each dot."""
    width, height, left, top, bottom = 320, 250, 56, 34, 44
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * width + 100}" height="{height + top + bottom}" font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>']
    values = [cpu for points in curves.values() for _, cpu, _ in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    y = lambda value: top + height * (1 - (math.log10(value) - low) / (high - low))
    for number, (name, points) in enumerate(curves.items()):
        begin = left + number * (width + 60)
        span = math.log10(points[-1][0] / points[0][0])
        x = lambda value: begin + 24 + (width - left - 48) * math.log10(value / points[0][0]) / span
        parts.append(f'<text x="{begin}" y="{top - 14}" font-weight="bold">CPU seconds of a night by {name}</text>')
        for power in range(low, high + 1):
            label = f"{10 ** power:g}"
            parts.append(f'<line x1="{begin}" y1="{y(10 ** power):.1f}" x2="{begin + width - left}" y2="{y(10 ** power):.1f}" stroke="#ddd"/>')
            parts.append(f'<text x="{begin - 6}" y="{y(10 ** power) + 4:.1f}" text-anchor="end">{label}</text>')
        line = " ".join(f"{x(value):.1f},{y(cpu):.1f}" for value, cpu, _ in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#2563a8" stroke-width="2"/>')
        for value, cpu, peak in points:
            label = f"{value / 1e6:.0f} M" if value >= 1e6 else f"{value:,}"
            parts.append(f'<circle cx="{x(value):.1f}" cy="{y(cpu):.1f}" r="4" fill="#2563a8"/>')
            parts.append(f'<text x="{x(value):.1f}" y="{y(cpu) - 10:.1f}" text-anchor="middle">{cpu:.1f} s, {peak:.0f} MiB</text>')
            parts.append(f'<text x="{x(value):.1f}" y="{top + height + 20}" text-anchor="middle">{label}</text>')
    return "\n".join(parts + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["parquet", "jsonl", "nights", "month", "rules", "steps", "growth", "table"])
    parser.add_argument("--series", type=int, default=7000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--many", type=int, default=5000, help="rules to hold against the few")
    parser.add_argument("--scale", type=float, default=1, help="of the table's sizes")
    parser.add_argument("--large", action="store_true", help="growth up to a hundred million samples")
    parser.add_argument("--interval", type=int, default=300, help="seconds between the samples of a series")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--period", default="2026-10")
    parser.add_argument("--conto", default=HERE.parent.parent / "target/release/conto")
    parser.add_argument("--out", default="/tmp/conto-nightly", help="directory for usage and lakes")
    bench = Bench(parser.parse_args())
    bench.directory.mkdir(parents=True, exist_ok=True)
    {
        "parquet": lambda: against_duckdb(bench, False),
        "jsonl": lambda: against_duckdb(bench, True),
        "nights": lambda: nights(bench),
        "month": lambda: month(bench),
        "rules": lambda: rules(bench),
        "steps": lambda: steps(bench),
        "growth": lambda: growth(bench),
        "table": lambda: table(bench),
    }[bench.options.what]()


if __name__ == "__main__":
    main()
