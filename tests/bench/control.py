# SPDX-License-Identifier: Apache-2.0
"""Control under a fleet: workers that report, lists, watchers, and then a store that stalls.

Four processes besides control: the workers (nicer than the rest), the lists, the watchers, and this
one, which makes changes. Measured are control's CPU time and memory, what a list takes, and how
long after a change was sent the last of the watchers has read it. Then another process holds
the database's lock, as a stalled disk would: reads must go on, writes must wait.

GPUSTACK_BENCH_WORKERS, GPUSTACK_BENCH_SECONDS and GPUSTACK_BENCH_FREEZE (0: not at all) change the
size; GPUSTACK_BENCH_PERF=FILE has perf record control meanwhile. doc/benchmarks.md says more.
"""

import json
import multiprocessing
import os
import pathlib
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time

import load_clients
import load_workers
import report
from control_role import Control

WORKERS = int(os.environ.get("GPUSTACK_BENCH_WORKERS", "1000"))
SECONDS = int(os.environ.get("GPUSTACK_BENCH_SECONDS", "20"))
FREEZE = int(os.environ.get("GPUSTACK_BENCH_FREEZE", "60"))
PERF = os.environ.get("GPUSTACK_BENCH_PERF")
REPLICAS = 4  # per worker
MODELS = 40
LISTS_PER_SECOND = 200
WATCHERS = 25  # of each kind
CHANGES = 100
SETTLE_SECONDS = 3  # after the watchers were told all that there is, which is much
WRITES_PER_SECOND = 1
THAW_SECONDS = 30  # in which writes that waited have to be answered
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
db.execute("ROLLBACK")
"""


class Helper:
    """A process that runs `body(pipe, ...)`."""

    def __init__(self, body, *args):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=body, args=(theirs, *args), daemon=True)
        self.process.start()
        theirs.close()

    def expect(self, what, timeout=300):
        assert self.pipe.poll(timeout), f"no {what!r} after {timeout} s"
        said = self.pipe.recv()
        assert said == what, said

    def finish(self):
        """Ends it and returns what it has found."""
        try:
            self.pipe.send("end")
        except BrokenPipeError:
            pass  # it has ended by itself and left its results
        return self.pipe.recv()

    def kill(self):
        self.process.kill()
        self.process.join()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def wait_seconds(pid):
    """How long the loop's thread was ready to run and had no core."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def rss_bytes(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def part_of(values, fraction):
    """The value that this fraction of the values doesn't exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))]


def sleep_until(moment):
    time.sleep(max(0, moment - time.monotonic()))


class Bench:
    def __init__(self, role, out):
        self.role, self.out, self.pid = role, out, role.process.pid
        self.path = str(role.folder / "run/control.sock")
        self.key = role.admin.post("/v2/api-keys", {"name": "bench"}).expect(200)["value"]
        self.helpers = []

    def start(self, body, *args):
        helper = Helper(body, self.path, *args)
        self.helpers.append(helper)
        return helper

    def close(self):
        for helper in self.helpers:
            helper.kill()

    # --- the cluster ---

    def fill(self):
        """Workers, models, and instances that are reported to run."""
        token = (self.role.folder / "token").read_text().strip()
        self.start(load_workers.run, token, WORKERS).expect("joined")
        self.models = [self.add_model(f"model-{number}", WORKERS * REPLICAS // MODELS)
                       for number in range(MODELS)]
        # What fits nowhere is looked at again and again, and must not cost much.
        self.add_model("nowhere", 100, worker_selector={"zone": "none"})
        self.settle(WORKERS * REPLICAS // MODELS * MODELS)

    def add_model(self, name, replicas, **fields):
        return self.role.admin.post("/v2/models", {
            "name": name, "source": "local_path", "local_path": "/models/m.gguf",
            "replicas": replicas, **fields}).expect(200)["id"]

    def settle(self, wanted):
        deadline = time.monotonic() + 300
        while True:
            page = self.role.admin.get("/v2/model-instances?perPage=1&state=running").expect(200)
            running = page["pagination"]["total"]
            if running == wanted:
                return
            assert time.monotonic() < deadline, f"{running} of {wanted} instances run"
            time.sleep(0.5)

    # --- everything at once ---

    def measure(self):
        watchers = self.start(load_clients.run_watchers, self.key,
                              ["/v2/models?watch=true"] * WATCHERS + ["/v2/stream"] * WATCHERS)
        slow = load_clients.connect(self.path)  # never reads
        slow.sendall(load_clients.request("GET", "/v2/stream", self.key))
        self.lists = self.start(load_clients.run_lists, self.key, LISTS_PER_SECOND)
        changes = load_clients.Changes(self.path, self.key, self.models)
        changes.make()
        watchers.expect("warm")
        time.sleep(SETTLE_SECONDS)
        perf = PERF and subprocess.Popen(["perf", "record", "-q", "-g", "-o", PERF, "-p",
                                          str(self.pid), "--", "sleep", str(SECONDS)])
        cpu, waited = cpu_seconds(self.pid), wait_seconds(self.pid)
        began, began_ns = time.monotonic(), time.monotonic_ns()
        for number in range(CHANGES):
            sleep_until(began + number * SECONDS / CHANGES)
            changes.make()
        sleep_until(began + SECONDS)
        took = time.monotonic() - began
        cores = (cpu_seconds(self.pid) - cpu) / took
        waited = (wait_seconds(self.pid) - waited) / took
        self.window = (began_ns, time.monotonic_ns())
        self.out.add("control_cores", cores, "cores", "<=", 0.5)
        self.out.add("control_rss", rss_bytes(self.pid) / (1 << 20), "MiB", "<=", 150)
        if perf:
            perf.wait()
        time.sleep(1)  # for the last of the events
        seen, size = watchers.finish()
        self.report_events(changes, seen)
        print(f"(watchers have read {size >> 20} MiB; control's loop was kept waiting for a core "
              f"for {waited * 100:.1f} % of the time)")
        self.slow = slow

    def report_events(self, changes, seen):
        """Change 0 is not counted: watchers were catching up."""
        numbers = [number for number in changes.sent if number > 0]
        took = [(one[number] - changes.sent[number]) / 1e6
                for number in numbers for one in seen if number in one]
        lost = len(numbers) * len(seen) - len(took)
        self.out.add("control_event_p99", part_of(took, 0.99), "ms", "<=", 20)
        self.out.add("control_event_max", max(took), "ms", "<=", 20)
        self.out.add("control_events_lost", lost, "events", "==", 0)
        puts = [ns / 1e6 for ns in changes.took[1:]]
        spread = [(max(at) - min(at)) / 1e6 for at in
                  ([one[number] for one in seen if number in one] for number in numbers) if at]
        print(f"({len(numbers)} changes, {len(seen)} watchers; events p50 "
              f"{part_of(took, 0.5):.2f} ms; answer to the change p50 {part_of(puts, 0.5):.2f} ms, "
              f"p99 {part_of(puts, 0.99):.2f} ms, max {max(puts):.2f} ms; "
              f"from the first watcher to the last p99 {part_of(spread, 0.99):.2f} ms)")

    def report_lists(self, figure, times, window):
        took = [took / 1e6 for sent, took in times if window[0] <= sent < window[1]]
        self.out.add(figure, part_of(took, 0.99), "ms", "<=", 20)
        rate = len(took) / (window[1] - window[0]) * 1e9
        print(f"({figure[:-4]}: {rate:.0f} a second, p50 {part_of(took, 0.5):.2f} ms, "
              f"max {max(took):.1f} ms)")

    def report_disk(self):
        """What a commit waits for at least, where control's database lies."""
        took = []
        with tempfile.TemporaryFile(dir=self.role.folder) as file:
            for number in range(100):
                os.pwrite(file.fileno(), bytes(8192), number * 8192)
                began = time.monotonic_ns()
                os.fdatasync(file.fileno())
                took.append((time.monotonic_ns() - began) / 1e6)
                time.sleep(0.02)
        print(f"(fdatasync of 8 KiB: p50 {part_of(took, 0.5):.2f} ms, p99 "
              f"{part_of(took, 0.99):.2f} ms)")

    # --- the frozen store ---

    def freeze(self):
        """Returns the window in which the database was held."""
        database = next(self.role.folder.glob("*.db"))
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(database)], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert holder.stdout.readline() == "held\n"
        began, began_ns = time.monotonic(), time.monotonic_ns()
        writes = []
        for number in range(FREEZE * WRITES_PER_SECOND):
            sleep_until(began + number / WRITES_PER_SECOND)
            writes.append(self.begin_write(f"frozen-{number}"))
        sleep_until(began + FREEZE)
        early = sum(has_answer(sock) for _, sock in writes)
        window = (began_ns, time.monotonic_ns())
        holder.communicate("")
        self.report_writes(database, writes, early)
        return window

    def begin_write(self, name):
        try:
            sock = load_clients.connect(self.path)
            sock.settimeout(THAW_SECONDS)
            sock.sendall(load_clients.request("POST", "/v2/models", self.key, json.dumps({
                "name": name, "source": "local_path", "local_path": "/models/m.gguf",
                "replicas": 0}).encode()))
            return name, sock
        except OSError:
            return name, None

    def report_writes(self, database, writes, early):
        """Lost are those that were not answered, or acknowledged and not stored, or the reverse."""
        statuses = {name: answer_to(sock) for name, sock in writes}
        has_died = self.role.process.poll() is not None
        stored = {name for name, in sqlite3.connect(database).execute("SELECT name FROM models")}
        lost = [name for name, status in statuses.items()
                if status == 0 or (name in stored) != (status == 200)]
        done = sum(status == 200 for status in statuses.values())
        self.out.add("control_frozen_waited", len(writes) - early, "writes", "==", len(writes))
        self.out.add("control_frozen_lost", len(lost), "writes", "==", 0)
        print(f"({len(writes)} writes while the store was frozen for {FREEZE} s: {done} succeeded "
              f"afterwards; answers {sorted(set(statuses.values()))}, 0: none)")
        if has_died:
            log = (self.role.folder / "control.log").read_text().strip().split("\n")
            print(f"(control has ended with status {self.role.process.returncode}: {log[-1]})")
        else:
            self.out.add("control_frozen_rss", rss_bytes(self.pid) / (1 << 20), "MiB", "<=", 150)


def has_answer(sock):
    """Whether an answer has come, or the end of the connection."""
    if sock is None:
        return True
    sock.setblocking(False)
    try:
        sock.recv(1, load_clients.socket.MSG_PEEK)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(THAW_SECONDS)


def answer_to(sock):
    """The status of the answer; 0 when none comes."""
    try:
        return load_clients.receive(sock)[0] if sock else 0
    except OSError:
        return 0


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    out = report.Report()
    with tempfile.TemporaryDirectory() as name:
        role = Control(report.BINARY, pathlib.Path(name))
        bench = None
        try:
            role.start()
            bench = Bench(role, out)
            bench.fill()
            bench.report_disk()
            bench.measure()
            frozen = bench.freeze() if FREEZE else None
            times = bench.lists.finish()
            bench.report_lists("control_list_p99", times, bench.window)
            if frozen:
                bench.report_lists("control_frozen_list_p99", times, frozen)
            print(f"({WORKERS} workers, {WORKERS * REPLICAS} instances; load "
                  f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")
        finally:
            if bench:
                bench.close()
            role.kill()
    return out.status()


if __name__ == "__main__":
    sys.exit(main())
