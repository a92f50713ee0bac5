"""Run the benchmarks and print the table of results: ``python benchmarks/run.py [--write] [NAME ...]``."""

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests" / "probe")]

import bench_cli
import bench_engine
import bench_store
from measure import ROOT

BENCHMARKS = {
    function.__name__: function
    for function in (
        bench_cli.startup, bench_cli.cached, bench_engine.cold, bench_engine.arrays, bench_store.streaming,
        bench_store.throughput, bench_store.small_arrays, bench_store.flips, bench_store.gc_race, bench_cli.planning,
        bench_engine.fan_out, bench_engine.kills, bench_engine.eight, bench_store.digests, bench_engine.lookups,
    )
}  # fmt: skip


def machine():
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    load = os.getloadavg()[0]
    return (f"{datetime.date.today()}, {os.cpu_count()} cores ({model}), {platform.system()}, "
            f"Python {platform.python_version()}, load at the start {load:.1f}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)}")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    arguments = parser.parse_args()
    header = machine()
    print(header, flush=True)
    lines = []
    for name in arguments.names or BENCHMARKS:
        for row in BENCHMARKS[name]():
            lines.append(f"| {row.what} | {row.must} | {row.measured} | {'yes' if row.ok else '**no**'} | `{name}` |")
            print(lines[-1], flush=True)
    if arguments.write:
        path = ROOT / "docs" / "benchmarks.md"
        text = path.read_text()
        head, _, rest = text.partition("<!-- results -->")
        tail = rest.partition("<!-- end -->")[2]
        table = "\n".join(["| what | must be | measured | met | script |", "|---|---|---|---|---|", *lines])
        path.write_text(f"{head}<!-- results -->\n\n{header}\n\n{table}\n\n<!-- end -->{tail}")


if __name__ == "__main__":
    main()
