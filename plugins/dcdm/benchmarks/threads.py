"""Two threads against one at 128^3, wall-clock seconds of set-up and solve: the best of five, interleaved.

OMP_WAIT_POLICY=passive python plugins/dcdm/benchmarks/threads.py
"""

from __future__ import annotations

from fieldloom_dcdm.solving import set_up
from measuring import Row, machine, masks, mean, measure, write


def main() -> None:
    started = machine()
    rows: list[Row] = []
    for name, problem, b in masks((128, 128, 128), 3):
        for threads in (1, 2):
            set_up(problem, threads=threads)
        for repeat in range(5):
            for threads in (1, 2):
                rows.append(measure(f"{name}/{repeat}", f"{threads}", set_up(problem, threads=threads), b, 1e-8))
    names = sorted({r.system.split("/")[0] for r in rows})
    best = {
        (n, t): min(r.solve_wall for r in rows if r.system.startswith(n + "/") and r.method == t)
        for n in names
        for t in "12"
    }
    write("threads", {"1 thread over 2, wall": mean(best[n, "1"] / best[n, "2"] for n in names)}, rows, started)


if __name__ == "__main__":
    main()
