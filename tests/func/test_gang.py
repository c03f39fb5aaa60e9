# SPDX-License-Identifier: Apache-2.0
"""An instance over two workers, for real: llama-server and llama.cpp's RPC server as its ranks."""

import json
import os
import signal

import pytest

from harness import is_alive, read_proc, wait_for

DEVICES = {"devices": [{"vendor": "NVIDIA", "type": "cuda", "name": "Test", "count": 2,
                        "memory_total": 8 << 30, "memory_used": 0}]}


@pytest.fixture
def two_workers(make_cluster, tmp_path):
    """A server and a second worker, with two devices each (the engines don't know of them)."""
    devices = tmp_path / "devices.json"
    devices.write_text(json.dumps(DEVICES))
    args = ["--fake-devices", str(devices)]
    cluster = make_cluster(args=args).start()
    cluster.add_worker("far", args)
    wait_for(lambda: len(cluster.items("/v2/gpu-devices")) == 4, what="four devices")
    return cluster


def deploy_gang(cluster, model_file):
    """Rank 0 ends if it is faster than the other's port: then the next try serves."""
    return cluster.deploy("hello", model_file, timeout=60, gpu_selector={"gpus_per_replica": 4})


def ranks(cluster):
    (row,) = cluster.instances("hello")
    servers = row["distributed_servers"]
    return row, [servers["main_worker"], *servers["subordinate_workers"]], servers


def engines_of(cluster):
    """Pids of all engine processes of all nodes, by program name."""
    found = {}
    for node in (cluster, *cluster.workers):
        for pid in node.engine_pids():
            words = " ".join(read_proc(pid, "cmdline"))
            found["rpc" if "rpc-server" in words else "main"] = pid
    return found


def test_a_gang_starts_and_serves(two_workers, demo_model):
    deploy_gang(two_workers, demo_model)
    row, parts, servers = ranks(two_workers)
    assert row["state"] == "running"
    assert len(parts) == 2 and servers["go"] is True
    assert sorted(part["worker_name"] for part in parts) == sorted(
        item["name"] for item in two_workers.items("/v2/workers"))
    assert all(len(part["gpu_indexes"]) == 2 for part in parts)
    found = engines_of(two_workers)
    assert set(found) == {"main", "rpc"}
    address = f"{parts[1]['worker_ip']}:{parts[1]['ports'][0]}"
    assert address in " ".join(read_proc(found["main"], "cmdline"))
    assert two_workers.chat("hello")


def test_any_rank_that_dies_restarts_all_and_its_log_is_shown(two_workers, demo_model):
    deploy_gang(two_workers, demo_model)
    epoch = ranks(two_workers)[2]["epoch"]
    before = engines_of(two_workers)
    os.kill(before["rpc"], signal.SIGKILL)
    row, parts, servers = wait_for(
        lambda: (lambda seen: seen if seen[2]["epoch"] == epoch + 1 else None)(ranks(two_workers)),
        what="the next try")
    assert servers["failed_rank"] == 1
    assert row["state_reason"] == "rank_failed"
    assert row["state_args"]["worker"] == parts[1]["worker_name"]
    log = two_workers.admin.get(f"/v2/model-instances/{row['id']}/logs").expect(200)
    other = two_workers.admin.get(f"/v2/model-instances/{row['id']}/logs?rank=0").expect(200)
    assert log != other
    wait_for(lambda: not is_alive(before["main"]), what="rank 0 to end as well")
    wait_for(lambda: ranks(two_workers)[0]["state"] == "running", timeout=90,
             what="the gang to serve again")
    after = engines_of(two_workers)
    assert set(after) == {"main", "rpc"}
    assert before["main"] != after["main"] and before["rpc"] != after["rpc"]
    assert two_workers.chat("hello")
    refused = two_workers.admin.get(f"/v2/model-instances/{row['id']}/logs?rank=2")
    assert refused.status == 422 and "0-1" in refused.json()["message"]


def test_a_gang_outlives_its_managers(two_workers, demo_model):
    deploy_gang(two_workers, demo_model)
    epoch = ranks(two_workers)[2]["epoch"]
    before = engines_of(two_workers)
    for node in (two_workers, *two_workers.workers):
        node.kill("worker")
    two_workers.kill("control")
    wait_for(lambda: two_workers.admin.get("/v2/workers").status == 200, what="control to answer")
    wait_for(lambda: ranks(two_workers)[0]["state"] == "running"
             and all(row["state"] == "ready" for row in two_workers.items("/v2/workers")),
             timeout=40, what="all to be known again")
    assert two_workers.chat("hello")
    assert engines_of(two_workers) == before
    assert ranks(two_workers)[2]["epoch"] == epoch


def test_too_many_devices_wait_with_their_reason(two_workers, demo_model):
    two_workers.deploy("hello", demo_model, wait=False, gpu_selector={"gpus_per_replica": 5})
    row = wait_for(lambda: next((row for row in two_workers.instances("hello")
                                 if row["state_reason"] == "no_worker_fits"), None),
                   what="the reason")
    assert row["state_args"]["refusals"] == {"devices_short": 2}
    assert "needs 5 devices, 2 of 2 free" in row["state_message"]
