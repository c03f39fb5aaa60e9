# SPDX-License-Identifier: Apache-2.0
"""Whether control's decisions cost the same per worker with 1,000 and with 10,000 of them.

Runs tests/sim/sim_scale of a release build: control's own code (registration, reports, passes,
desired states) under a virtual clock. Workers join, models are deployed, scaled and updated,
workers fall silent, and many at once are cut off. Its table is printed as it comes.
GPUSTACK_BENCH_SIZES changes the sizes.
"""

import os
import re
import subprocess
import sys

import report

RATIO_MAX = 1.5 # ten times the workers may cost so much more each


def main():
    sizes = os.environ.get("GPUSTACK_BENCH_SIZES", "100 1000 3000 10000").split()
    costs = {}
    program = report.build("tests/sim/sim_scale")
    with subprocess.Popen([program, *sizes], stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            print(line, end="", flush=True)
            found = re.search(r"(\d+) all: .* (\d+) us per worker .* (\d+) bytes per worker", line)
            if found:
                workers, us, size = map(int, found.groups())
                costs[workers] = us, size
    assert run.returncode == 0, run.returncode
    small, large = min(costs, key=lambda size: abs(size * 10 - max(costs))), max(costs)
    results = report.Report()
    for i, name in enumerate(("time", "memory")):
        results.add(f"sim_scale_{name}_ratio", costs[large][i] / costs[small][i], "x", "<=",
                    RATIO_MAX)
    return results.status()


if __name__ == "__main__":
    sys.exit(main())
