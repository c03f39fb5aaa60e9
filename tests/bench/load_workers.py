# SPDX-License-Identifier: Apache-2.0
"""Workers for benchmarks of control: a process that speaks their protocol, without any engine.

Each registers, follows its desired state and reports 8 devices every 5 s; what it shall run is said
to run. Meant to cost its own process little: a report is a text in which numbers are put.
"""

import asyncio
import json
import os
import random

DEVICES = 8
REPORT_EVERY = 5
JOINING = 16  # at once
NICE = 10     # below what is measured and what measures

NUMBER = "NUMBER"  # where a report has something new each time


class Http:
    """One kept connection to control's socket: requests one after the other."""

    def __init__(self, path, bearer):
        self.path, self.bearer = path, bearer
        self.reader = self.writer = None

    async def send(self, method, target, data=b""):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_unix_connection(self.path)
        self.writer.write(
            f"{method} {target} HTTP/1.1\r\nHost: control\r\n"
            f"Authorization: Bearer {self.bearer}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode() + data)

    async def read_head(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        return int(head[0].split()[1]), fields

    async def call(self, method, target, data):
        await self.send(method, target, data)
        status, fields = await self.read_head()
        data = await self.reader.readexactly(int(fields.get("content-length", "0")))
        assert status < 300, (status, data)
        return data

    def close(self):
        self.writer.close()


def device(index, number):
    return {"index": index, "name": "910B4", "vendor": "Huawei", "type": "npu",
            "uuid": f"{number}-{index}", "temperature": NUMBER,
            "core": {"total": 20, "utilization_rate": NUMBER},
            "memory": {"total": 34359738368, "used": NUMBER, "utilization_rate": NUMBER,
                       "is_unified_memory": False}}


def status(number):
    return {
        "cpu": {"total": 192, "utilization_rate": NUMBER},
        "memory": {"total": 1 << 40, "used": NUMBER, "available": NUMBER},
        "swap": {"total": 0, "used": 0},
        "filesystem": [{"name": "/dev/nvme0n1p2", "mount_point": "/",
                        "mount_from": "/dev/nvme0n1p2", "total": 3 << 40,
                        "used": NUMBER, "free": NUMBER, "available": NUMBER}],
        "os": {"name": "openEuler", "version": "22.03"},
        "kernel": {"name": "Linux", "release": "5.10.0-153.12.0.92.oe2203sp2.aarch64",
                   "version": "#1 SMP", "architecture": "aarch64"},
        "uptime": {"uptime": NUMBER, "boot_time": "2026-11-01T00:00:00Z"},
        "gpu_devices": [device(index, number) for index in range(DEVICES)]}


def running(item, port):
    return {"id": item["id"], "model_generation": item["model_generation"], "state": "running",
            "state_reason": None, "state_args": None, "state_message": "", "failures": 0,
            "drained": item["draining"], "rank": 0, "gang_epoch": 0, "prepared": True,
            "pid": 1000 + item["id"], "port": port, "ports": [port],
            "resolved_path": item["local_path"], "restart_count": 0, "last_restart_time": None,
            "download_progress": 100, "computed_resource_claim": {"ram": 1 << 30}}


class Worker:
    """Takes up what it shall run and reports it as running."""

    def __init__(self, path, token, number):
        self.path, self.token, self.number = path, token, number
        text = json.dumps(status(number))
        self.numbers = text.count(NUMBER)
        self.status = text.replace(f'"{NUMBER}"', "%d")
        self.generation, self.instances, self.seq = 0, "[]", 0

    async def join(self):
        join = Http(self.path, self.token)
        joined = json.loads(await join.call("POST", "/v2/workers", json.dumps({
            "name": f"node{self.number}", "name_is_configured": True,
            "hostname": f"node{self.number}", "ip": "10.0.0.1", "port": 10150,
            "worker_uuid": f"uuid-{self.number}", "netns_id": f"n{self.number}",
            "worker_version": "1", "labels": {"os": "linux", "arch": "arm64"}}).encode()))
        join.close()
        self.session = joined["session"]
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
            self.instances = json.dumps([running(item, 40000 + number) for number, item
                                         in enumerate(desired["instances"])])

    async def report(self):
        self.seq += 1
        numbers = tuple(random.randrange(100) for _ in range(self.numbers))
        body = (f'{{"session":{self.session},"seq":{self.seq},"generation":{self.generation},'
                f'"status":{self.status % numbers},"instances":{self.instances}}}')
        await self.api.call("POST", "/v2/worker-status", body.encode())

    async def report_for_ever(self):
        """At times of its own: those that were late together must not stay together."""
        clock = asyncio.get_running_loop().time
        due = clock() + random.random() * REPORT_EVERY
        while True:
            await asyncio.sleep(max(0, due - clock()))
            await self.report()
            due += REPORT_EVERY


async def join_all(workers):
    """A few at a time, as they would come after a power cut."""
    waiting = list(workers)

    async def join_some():
        while waiting:
            await waiting.pop().join()

    await asyncio.gather(*[join_some() for _ in range(JOINING)])


async def work(path, token, count, pipe):
    workers = [Worker(path, token, number) for number in range(count)]
    await join_all(workers)
    pipe.send("joined")
    await asyncio.gather(*[worker.follow() for worker in workers],
                         *[worker.report_for_ever() for worker in workers])


def lower_priority():
    """Also if the benchmark was started with `chrt -f 2`, as on a machine that is not its own."""
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    else:
        os.nice(NICE)


def run(pipe, path, token, count):
    """Body of the process; it is killed at the end. Sends "joined" when all are there."""
    lower_priority()
    try:
        asyncio.run(work(path, token, count, pipe))
    except (OSError, EOFError, ValueError, AssertionError) as error:
        pipe.send(f"the workers have ended: {error!r}")
