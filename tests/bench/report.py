# SPDX-License-Identifier: Apache-2.0
"""What every benchmark in this folder shares: its result lines and what it runs on.

    report = Report()
    report.add("start_median", 0.21, "s", "<=", 0.5)     # start_median 0.21 s (goal <= 0.5 s: met)
    sys.exit(report.status())                            # 1 when a goal is missed
"""

import contextlib
import fcntl
import operator
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("GPUSTACK_BINARY", TOP / "build/gpustack"))
ENGINES = TOP / "build/engines"
LOCK = "/tmp/gpustack-bench.lock"

# The benchmarks start processes as the functional tests do.
sys.path.insert(0, str(TOP / "tests/func"))

OPERATORS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@contextlib.contextmanager
def alone():
    """Waits until no other benchmark of this kind runs on the machine, from whatever checkout."""
    with open(LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"(waiting for another benchmark, which holds {LOCK})", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(program):
    """Builds a program of tests/, which ./run leaves out, for release; returns its path."""
    folder = TOP / "build/bench"
    if not (folder / "build.ninja").exists():
        subprocess.run([TOP / "tools/install-packages", "libcmocka-dev", "node-llhttp"], check=True)
        subprocess.run(["meson", "setup", folder, TOP, "--buildtype=release", "-Dwerror=false"],
                       check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder, program], check=True, stdout=subprocess.DEVNULL)
    return folder / program


class Report:
    def __init__(self):
        self.missed = 0

    def add(self, name, value, unit, op, goal):
        """Prints a result; `op` says how it should compare to the goal, which has the same unit."""
        met = OPERATORS[op](value, goal)
        self.missed += not met
        word = "met" if met else "missed"
        print(f"{name} {value:.4g} {unit} (goal {op} {goal:g}: {word})", flush=True)

    def tell(self, name, value, unit):
        """Prints a result without a goal."""
        print(f"{name} {value:.4g} {unit}", flush=True)

    def status(self):
        return 1 if self.missed else 0
