# SPDX-License-Identifier: Apache-2.0
"""Size of the binary, memory of the idle manager, time from its start to the first answer."""

import pathlib
import statistics
import sys
import tempfile
import time

import report
import harness

STARTS = 5
ROLES = ("start", "control", "gateway", "worker", "prober")
MIB = 1 << 20


def manager_pss(cluster):
    return sum(harness.pss_bytes(pid) for role in ROLES for pid in cluster.pids(role))


def settled_pss(cluster):
    """Memory once two looks a second apart differ by less than a percent."""
    last = 0
    for _ in range(20):
        now = manager_pss(cluster)
        if last and abs(now - last) < last / 100:
            return now
        last = now
        time.sleep(1)
    return last


def seconds_to_first_answer(cluster):
    """From exec to a 200 of GET /v1/models with an API key, asked for without a pause."""
    user = cluster.user()
    began = time.monotonic()
    cluster.start(wait=False)
    while True:
        try:
            if user.get("/v1/models").status == 200:
                return time.monotonic() - began
        except OSError:
            pass
        if time.monotonic() - began > 20:
            raise TimeoutError(cluster.log_tail())
        time.sleep(0.002)


def main():
    out = report.Report()
    out.add("binary_size", report.BINARY.stat().st_size / MIB, "MiB", "<=", 4)
    with tempfile.TemporaryDirectory() as folder:
        cluster = harness.Cluster(report.BINARY, report.ENGINES, pathlib.Path(folder))
        try:
            cluster.start()
            cluster.api_key()
            harness.wait_for(lambda: [worker["state"] for worker in cluster.items("/v2/workers")]
                             == ["ready"], 20, "the worker is ready")
            out.add("idle_pss", settled_pss(cluster) / MIB, "MiB", "<=", 25)
            times = []
            for _ in range(STARTS):
                cluster.stop_manager()
                times.append(seconds_to_first_answer(cluster))
            out.add("start_median", statistics.median(times), "s", "<=", 0.5)
        finally:
            cluster.stop()
    sys.exit(out.status())


if __name__ == "__main__":
    main()
