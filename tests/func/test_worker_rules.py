# SPDX-License-Identifier: Apache-2.0
"""The worker's half of doc/internals/control-plane.md with a real llama-server: drains, reasons,
limits, gangs over llama.cpp's RPC, orphans, a full disk. Control is one that says what a test
wants."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from conftest import SENTENCE
from fake_control import FakeControl
from harness import Http, Stream, connections_to, is_alive, wait_for

TOKEN = "instance-token"


@pytest.fixture
def make_control(gpustack_binary, engine_dir, tmp_path):
    made = []

    def make(**options):
        made.append(FakeControl(gpustack_binary, engine_dir, tmp_path, **options))
        return made[-1]

    yield make
    for control in made:
        control.stop()


@pytest.fixture
def control(make_control):
    return make_control()


def instance(model_file, number=7, **fields):
    return {"id": number, "name": f"m-{number}", "model_id": 1, "model_name": "m",
            "model_generation": 1, "source": "local_path", "local_path": str(model_file),
            "token": TOKEN, **fields}


def running(seen):
    return seen["state"] == "running"


def serve(control, worker, wanted):
    """Runs it on the worker; returns the report of it and requests to it through the relay."""
    control.desire(wanted, worker=worker)
    seen = control.wait(wanted["id"], running, worker)
    http = Http("127.0.0.1", worker.worker_port, TOKEN)
    http.headers["X-GPUStack-Model-Instance"] = str(wanted["id"])
    return seen, http


class Relayed:
    """What Stream asks, through a worker's relay."""

    def __init__(self, http):
        self.http = http

    def open(self, method, path, body):
        return self.http.open(method, "/proxy" + path, body)


def chat(http):
    body = {"messages": [{"role": "user", "content": "Who are you?"}]}
    reply = http.post("/proxy/v1/chat/completions", body).expect(200)
    return reply["choices"][0]["message"]["content"]


# --- drains --------------------------------------------------------------------------------------


def test_a_drain_lets_requests_finish(control, endless_model):
    worker = control.add_worker("w1")
    wanted = instance(endless_model)
    seen, http = serve(control, worker, wanted)
    with Stream(Relayed(http), "m", max_tokens=100000) as stream:
        wait_for(lambda: stream.count > 5, what="the stream flows")
        control.desire({**wanted, "draining": True})
        control.wait_reports(3) # much longer than it takes to find out that nothing is under way
        before = stream.count
        wait_for(lambda: stream.count > before, what="the stream goes on")
        assert "stopping" not in worker.log()
        assert control.seen(7)["state"] == "running" and not control.seen(7)["drained"]
    # The relay keeps its connection to the engine for a while: that one must not count.
    seen = control.wait(7, lambda seen: seen["drained"])
    assert seen["pid"] == 0 and seen["ports"] == [] and seen["state_reason"] == "none"
    assert not worker.engine_pids()
    control.desire(wanted)
    assert control.wait(7, running)["restart_count"] == 0


def test_a_drain_has_a_deadline(control, endless_model):
    worker = control.add_worker("w1", "--drain-timeout", "1")
    wanted = instance(endless_model)
    _, http = serve(control, worker, wanted)
    with Stream(Relayed(http), "m", max_tokens=100000) as stream:
        wait_for(lambda: stream.count > 5, what="the stream flows")
        control.desire({**wanted, "draining": True})
        control.wait(7, lambda seen: seen["drained"])
        stream.join(10)
        assert not stream.ended_normally()


def test_a_drain_goes_on_after_a_restart_of_the_worker(control, endless_model):
    worker = control.add_worker("w1")
    wanted = instance(endless_model)
    seen, _ = serve(control, worker, wanted)
    # As a gateway on the same machine does: to the engine itself.
    direct = Http("127.0.0.1", seen["port"], TOKEN)
    with Stream(direct, "m", max_tokens=100000) as stream:
        wait_for(lambda: stream.count > 5, what="the stream flows")
        control.desire({**wanted, "draining": True})
        wait_for(lambda: "drains" in worker.log(), what="the drain has begun")
        worker.kill("worker")
        wait_for(lambda: "is adopted" in worker.log(), 30, "the engine is adopted")
        control.wait(7, lambda seen: seen["pid"])
        control.wait_reports(6) # the first few come at once, with news
        before = stream.count
        wait_for(lambda: stream.count > before, what="the stream goes on")
        assert "stopping" not in worker.log()
        assert is_alive(seen["pid"])
    control.wait(7, lambda seen: seen["drained"])
    assert not is_alive(seen["pid"])


# --- reasons and limits --------------------------------------------------------------------------


def test_reasons_have_codes_and_arguments(control, demo_model):
    worker = control.add_worker("w1")
    missing = instance("/nonexistent/m.gguf", 1)
    unknown = instance(demo_model, 2, backend_parameters=["--no-such-flag"])
    bad_file = instance("/dev/null", 3)
    elsewhere = instance(demo_model, 4, source="huggingface")
    not_installed = instance(demo_model, 5, backend="llama.cpp", backend_version="9.9")
    control.desire(missing, unknown, bad_file, elsewhere, not_installed)
    expected = {
        1: ("model_path_missing", {"path": "/nonexistent/m.gguf", "worker": "w1"}),
        3: ("model_file_invalid", {"path": "/dev/null", "worker": "w1"}),
        4: ("source_unsupported", {"source": "huggingface"}),
        5: ("engine_missing", {"backend": "llama.cpp", "version": "9.9", "worker": "w1"}),
    }
    for number, (reason, args) in expected.items():
        seen = control.wait(number, lambda seen: seen["state"] == "error", worker)
        assert (seen["state_reason"], seen["state_args"]) == (reason, args)
        assert seen["failures"] == 1 and "next try in 10 s" in seen["state_message"]
    seen = control.wait(2, lambda seen: seen["state"] == "error")
    assert seen["state_reason"] == "bad_parameters"
    assert "--no-such-flag" in seen["state_args"]["detail"]


def test_a_limit_outlives_the_worker(control, demo_model):
    worker = control.add_worker("w1")
    wanted = instance(demo_model, max_restarts=1)
    seen, _ = serve(control, worker, wanted)
    os.kill(seen["pid"], signal.SIGKILL)
    seen = control.wait(7, lambda seen: seen["state"] == "error")
    assert seen["state_reason"] == "restart_limit"
    assert seen["state_args"] == {"restarts": 1, "reason": "engine_killed"}
    worker.kill("worker")
    control.reports.clear()
    seen = control.wait(7, lambda seen: seen["state"] == "error")
    assert seen["state_reason"] == "restart_limit" and seen["failures"] == 1
    control.desire({**wanted, "model_generation": 2})
    assert control.wait(7, running)["failures"] == 0


# --- restarts of the worker ----------------------------------------------------------------------


def test_an_adopted_engine_may_be_slow_to_answer(control, demo_model):
    worker = control.add_worker("w1")
    seen, http = serve(control, worker, instance(demo_model))
    os.kill(seen["pid"], signal.SIGSTOP)
    worker.kill("worker")
    wait_for(lambda: "is adopted" in worker.log(), 30, "the engine is adopted")
    probes = set()

    def has_second_probe():
        probes.update(connections_to(seen["port"], worker.pid("worker")))
        return len(probes) > 1

    wait_for(has_second_probe, 30, "one probe is given up, the next is sent")
    # Told as starting the gateway would take it out of service for a moment.
    assert control.seen(7)["state"] == "running"
    os.kill(seen["pid"], signal.SIGCONT)
    control.wait_reports(1)
    assert control.seen(7)["state"] == "running"
    assert chat(http)


# --- memory ---------------------------------------------------------------------------------------


GIB = 1 << 30


def write_devices(path, used):
    """Two devices of 8 GiB with so much in use, as another program's memory would be."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([{"type": "cuda", "name": "Fake 8G", "memory_total": 8 * GIB,
                                  "memory_used": bytes, "island_size": 2, "link": "nvlink"}
                                 for bytes in used]))
    fresh.rename(path)


def test_memory_that_others_took_meanwhile(control, demo_model, tmp_path):
    devices = tmp_path / "devices.json"
    write_devices(devices, [0, 0])
    worker = control.add_worker("w1", "--fake-devices", str(devices))
    control.wait_reports(1)
    status = control.reports[worker.number]["status"]
    assert [device["link"] for device in status["gpu_devices"]] == ["nvlink", "nvlink"]
    assert [device["healthy"] for device in status["gpu_devices"]] == [True, True]
    assert any(engine["name"] == "llama.cpp" and engine["version"] and engine["present"]
               for engine in status["engines"])

    # Placement goes by that report; somebody takes 6 GiB before the worker hears of it.
    write_devices(devices, [0, 6 * GIB])
    wanted = instance(demo_model, gpu_indexes=[1], restart_on_error=False,
                      claim={"ram": 1 << 20, "vram": {"1": 3 * GIB}, "offload_layers": 1,
                             "total_layers": 99})
    control.desire(wanted)
    seen = control.wait(7, lambda seen: seen["state"] == "error")
    assert seen["state_reason"] == "device_memory_taken"
    assert seen["state_args"] == {"gpu_index": 1, "needs": 3 * GIB, "free": 2 * GIB}
    assert "needs 3.0 GiB of device 1, 2.0 GiB of 8.0 GiB are free" in seen["state_message"]
    assert seen["failures"] == 0 and not worker.engine_pids()

    # More than any machine has, of main memory.
    control.desire({**wanted, "model_generation": 2, "claim": {"ram": 1 << 55}})
    seen = control.wait(7, lambda seen: seen["state_reason"] == "host_memory_taken")
    assert seen["state_args"]["needs"] == 1 << 55 and seen["state_args"]["free"] < 1 << 50

    # They give it back, and the next try finds it.
    write_devices(devices, [0, 0])
    control.desire({**wanted, "model_generation": 3})
    seen = control.wait(7, lambda seen: running(seen) and seen["measured_claim"]["ram"] > 10 << 20)
    assert "vram" not in seen["measured_claim"] # nothing has used the device that isn't there
    command = pathlib.Path(f"/proc/{seen['pid']}/cmdline").read_text().split("\0")
    assert command[command.index("--n-gpu-layers") + 1] == "1"
    assert "--tensor-split" not in command


# --- gangs ---------------------------------------------------------------------------------------


class Gang:
    """Rank 0 and rank 1 of one model on two workers, moved through its epochs as control does."""

    def __init__(self, control, model_file):
        self.control = control
        self.workers = [control.add_worker("w0"), control.add_worker("w1")]
        self.wanted = instance(model_file, rank_count=2)

    def desire(self, epoch, ranks=()):
        for rank, worker in enumerate(self.workers):
            self.control.desire({**self.wanted, "rank": rank, "gang_epoch": epoch,
                                 "go": bool(ranks), "ranks": list(ranks)}, worker=worker)

    def wait(self, rank, condition, timeout=30):
        return self.control.wait(7, condition, self.workers[rank], timeout)

    def prepare(self, epoch):
        self.desire(epoch)
        return [self.wait(rank, lambda seen: seen["prepared"] and seen["gang_epoch"] == epoch)
                for rank in range(2)]

    def start(self, epoch):
        prepared = self.prepare(epoch)
        assert [seen["pid"] for seen in prepared] == [0, 0], "nothing runs before go"
        self.desire(epoch, [{"rank": rank, "ip": "127.0.0.1", "ports": seen["ports"],
                             "gpu_indexes": []} for rank, seen in enumerate(prepared)])
        return [self.wait(rank, running, 60) for rank in range(2)]

    def http(self):
        http = Http("127.0.0.1", self.workers[0].worker_port, TOKEN)
        http.headers["X-GPUStack-Model-Instance"] = "7"
        return http


def test_a_gang_serves_over_rpc(control, demo_model):
    gang = Gang(control, demo_model)
    ranks = gang.start(1)
    assert chat(gang.http()) == SENTENCE
    assert connections_to(ranks[1]["port"], ranks[0]["pid"]), "rank 0 uses rank 1"

    # A rank that ends waits for control, which raises the epoch for all.
    os.kill(ranks[1]["pid"], signal.SIGKILL)
    seen = gang.wait(1, lambda seen: seen["state"] == "error")
    assert seen["state_reason"] == "engine_killed" and seen["gang_epoch"] == 1
    assert not seen["prepared"]
    again = gang.start(2)
    assert [seen["gang_epoch"] for seen in again] == [2, 2]
    assert chat(gang.http()) == SENTENCE

    # Workers come and go, the gang stays.
    pids = [seen["pid"] for seen in again]
    for worker in gang.workers:
        worker.kill("worker")
    control.reports.clear()
    assert [gang.wait(rank, running)["pid"] for rank in range(2)] == pids
    assert chat(gang.http()) == SENTENCE

    # With nothing under way rank 0 drains at once, and then nobody uses rank 1.
    for rank, worker in enumerate(gang.workers):
        control.desire({**gang.wanted, "rank": rank, "gang_epoch": 2, "go": True,
                        "draining": True, "ranks": [
                            {"rank": each, "ip": "127.0.0.1", "ports": seen["ports"],
                             "gpu_indexes": []} for each, seen in enumerate(again)]},
                       worker=worker)
    for rank in range(2):
        gang.wait(rank, lambda seen: seen["drained"])


def test_a_port_that_was_taken_after_preparing(control, demo_model):
    gang = Gang(control, demo_model)
    prepared = gang.prepare(1)
    port = prepared[1]["port"]
    with socket.create_server(("127.0.0.1", port)):
        gang.desire(1, [{"rank": rank, "ip": "127.0.0.1", "ports": seen["ports"],
                         "gpu_indexes": []} for rank, seen in enumerate(prepared)])
        gang.wait(1, lambda seen: seen["state"] == "error")
        # The next try has other ports while the stranger is there.
        assert gang.prepare(2)[1]["port"] != port


# --- orphans and strangers -----------------------------------------------------------------------


def test_an_orphan_is_gone_soon_after_contact(control, demo_model):
    worker = control.add_worker("w1")
    seen, _ = serve(control, worker, instance(demo_model))
    worker.stop_manager()
    assert is_alive(seen["pid"])
    (worker.data_dir / "run/instances/7.json").unlink()
    control.desire() # meanwhile it was deleted
    worker.start()
    wait_for(lambda: not is_alive(seen["pid"]), 30, "the orphan is gone")
    control.wait_gone(7)


def test_an_engine_of_another_cluster_is_not_touched(make_control, demo_model):
    first = make_control()
    worker = first.add_worker("w1")
    seen, _ = serve(first, worker, instance(demo_model))
    worker.stop_manager()
    second = make_control(cluster_id="another-cluster")
    worker.cluster, worker.server_url = second, second.url
    worker.start()
    worker.number = wait_for(lambda: second.number_of(worker), 20, "it has registered there")
    second.desire()
    wait_for(lambda: second.reports.get(worker.number, {}).get("generation"), 20,
             "the empty state is taken up")
    second.workers.append(worker)
    own, http = serve(second, worker, instance(demo_model)) # the same number, another instance
    assert own["pid"] != seen["pid"] and own["port"] != seen["port"]
    assert chat(http) == SENTENCE
    second.desire()
    second.wait_gone(7)
    assert is_alive(seen["pid"])


# --- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """Function (folder) that mounts a file system of 64 KiB there."""
    mounted = []
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root and mount for a small file system")

    def mount(folder):
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
                              capture_output=True, text=True)
        if done.returncode:
            pytest.skip(done.stderr)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=False)


def fill(folder):
    path = pathlib.Path(folder) / "ballast"
    with open(path, "wb", buffering=0) as ballast, pytest.raises(OSError):
        while True:
            ballast.write(bytes(4096))
    return path


def test_a_full_disk_starts_nothing_and_ends_nothing(control, demo_model, small_disk, tmp_path):
    records = small_disk(tmp_path / "w1/run") / "instances"
    worker = control.add_worker("w1")
    first, second = instance(demo_model, 7), instance(demo_model, 8)
    seen, http = serve(control, worker, first)
    ballast = fill(records.parent)
    control.desire(first, second)
    failed = control.wait(8, lambda seen: seen["state"] == "error")
    assert failed["state_reason"] == "spawn_failed" and failed["state_args"] == {"errno": 28}
    assert "No space left on device" in failed["state_message"]
    assert chat(http) == SENTENCE
    worker.kill("worker") # the record of the first is as it was
    control.reports.clear()
    assert control.wait(7, running)["pid"] == seen["pid"]
    assert worker.engine_pids() == [seen["pid"]]
    ballast.unlink()
    control.wait(8, running, timeout=60)
    assert len(worker.engine_pids()) == 2
