# SPDX-License-Identifier: Apache-2.0
"""Control under a fleet: workers that report on real sockets, instances, lists all the time.

The workers speak the protocol of ARCHITECTURE.md from this process; the engines are said to run and
do not exist. Measured is the control process alone: its CPU time, its memory, and how long a list
takes while all that goes on. GPUSTACK_BENCH_WORKERS and GPUSTACK_BENCH_SECONDS change the size.
"""

import asyncio
import json
import os
import pathlib
import random
import resource
import sys
import tempfile
import time

import report
from control_role import Control

WORKERS = int(os.environ.get("GPUSTACK_BENCH_WORKERS", "1000"))
SECONDS = int(os.environ.get("GPUSTACK_BENCH_SECONDS", "20"))
DEVICES = 8
REPLICAS = 4  # per worker
MODELS = 40
REPORT_EVERY = 5
LISTS_PER_SECOND = 200
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Http:
    """One kept connection to control's socket: requests one after the other."""

    def __init__(self, path, bearer):
        self.path, self.bearer = path, bearer
        self.reader = self.writer = None

    async def send(self, method, target, body=None):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_unix_connection(self.path)
        data = json.dumps(body).encode() if body is not None else b""
        self.writer.write(
            f"{method} {target} HTTP/1.1\r\nHost: control\r\n"
            f"Authorization: Bearer {self.bearer}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode() + data)

    async def read_head(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        return int(head[0].split()[1]), fields

    async def call(self, method, target, body=None):
        await self.send(method, target, body)
        status, fields = await self.read_head()
        data = await self.reader.readexactly(int(fields.get("content-length", "0")))
        assert status < 300, (status, data)
        return json.loads(data) if data and data != b"null" else None


class Worker:
    """A worker that takes up what it shall run and reports it as running."""

    def __init__(self, path, token, number):
        self.path, self.token, self.number = path, token, number
        self.generation, self.instances = 0, []
        self.api = None

    async def join(self):
        join = Http(self.path, self.token)
        joined = await join.call("POST", "/v2/workers", {
            "name": f"node{self.number}", "hostname": f"node{self.number}", "ip": "10.0.0.1",
            "port": 10150, "worker_uuid": f"uuid-{self.number}", "netns_id": f"n{self.number}",
            "labels": {"os": "linux", "arch": "arm64"}})
        join.writer.close()
        self.api = Http(self.path, joined["token"])
        self.stream = Http(self.path, joined["token"])
        await self.report()
        await self.stream.send("GET", f"/v2/workers/{joined['id']}/desired")
        await self.stream.read_head()

    async def follow(self):
        """Reads the chunked stream of desired states."""
        while True:
            size = int(await self.stream.reader.readline(), 16)
            line = (await self.stream.reader.readexactly(size + 2))[:-2].strip()
            if not line:
                continue
            desired = json.loads(line)
            self.generation = desired["generation"]
            self.instances = [
                {"id": item["id"], "model_generation": item["model_generation"],
                 "state": "running", "state_message": "", "pid": 1000 + item["id"],
                 "port": 40000 + number, "ports": [40000 + number],
                 "computed_resource_claim": {"ram": 1 << 30}}
                for number, item in enumerate(desired["instances"])]

    async def report(self):
        await self.api.call("POST", "/v2/worker-status", {
            "generation": self.generation, "instances": self.instances,
            "status": {
                "cpu": {"total": 192, "utilization_rate": random.random() * 100},
                "memory": {"total": 1 << 40, "used": random.randrange(1 << 38)},
                "gpu_devices": [
                    {"index": index, "name": "910B4", "vendor": "Huawei", "type": "npu",
                     "uuid": f"{self.number}-{index}", "temperature": 40 + random.random(),
                     "core": {"total": 20, "utilization_rate": random.random() * 100},
                     "memory": {"total": 34359738368, "used": random.randrange(1 << 34),
                                "utilization_rate": 3.0, "is_unified_memory": False}}
                    for index in range(DEVICES)]}})

    async def report_for_ever(self):
        await asyncio.sleep(random.random() * REPORT_EVERY)
        while True:
            await self.report()
            await asyncio.sleep(REPORT_EVERY)


async def list_for_ever(path, key, times):
    """Asks for one page after the other at an even rate, over a few connections."""
    api = Http(path, key)
    targets = ["/v2/workers?perPage=20", "/v2/models", "/v2/model-instances?perPage=100"]
    while True:
        began = time.monotonic()
        await api.call("GET", random.choice(targets))
        times.append(time.monotonic() - began)
        await asyncio.sleep(max(0, 4 / LISTS_PER_SECOND - (time.monotonic() - began)))


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss_bytes(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


async def settle(admin, workers, tasks):
    """Until every instance is reported to run."""
    wanted = WORKERS * REPLICAS
    while True:
        page = await admin.call("GET", "/v2/model-instances?perPage=1&state=running")
        if page["pagination"]["total"] == wanted:
            return
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.5)


async def measure(folder, pid, key, out):
    path = str(folder / "run/control.sock")
    token = (folder / "token").read_text().strip()
    admin = Http(path, key)
    workers = [Worker(path, token, number) for number in range(WORKERS)]
    for worker in workers:
        await worker.join()
    tasks = [asyncio.create_task(worker.follow()) for worker in workers]
    tasks += [asyncio.create_task(worker.report_for_ever()) for worker in workers]
    for number in range(MODELS):
        await admin.call("POST", "/v2/models", {
            "name": f"model-{number}", "source": "local_path", "local_path": "/models/m.gguf",
            "replicas": WORKERS * REPLICAS // MODELS})
    # What fits nowhere is looked at again and again, and must not cost much.
    await admin.call("POST", "/v2/models", {
        "name": "nowhere", "source": "local_path", "local_path": "/models/m.gguf",
        "replicas": 100, "worker_selector": {"zone": "none"}})
    await settle(admin, workers, tasks)
    times = []
    tasks += [asyncio.create_task(list_for_ever(path, key, times)) for _ in range(4)]
    cpu, began = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(SECONDS)
    used = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
    for task in tasks:
        task.cancel()
    times.sort()
    out.add("control_cores", used, "cores", "<=", 0.5)
    out.add("control_list_p99", times[len(times) * 99 // 100] * 1000, "ms", "<=", 20)
    out.add("control_rss", rss_bytes(pid) / (1 << 20), "MiB", "<=", 150)
    rate = len(times) / SECONDS
    print(f"({WORKERS} workers, {WORKERS * REPLICAS} instances, {rate:.0f} lists/s)")


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    out = report.Report()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        role = Control(report.BINARY, folder)
        try:
            role.start()
            key = role.admin.post("/v2/api-keys", {"name": "bench"}).expect(200)["value"]
            asyncio.run(measure(folder, role.process.pid, key, out))
        finally:
            role.kill()
    return out.status()


if __name__ == "__main__":
    sys.exit(main())
