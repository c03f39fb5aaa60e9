# SPDX-License-Identifier: Apache-2.0
"""The catalog: what it holds, which of it fits a cluster, and deploying from it without a hub."""

import json
import os
import socket
import subprocess
import time

import pytest

import harness
import stand_in_engine
from harness import wait_for

CARDS, NODES = 8, 5


def silent_hub():
    """Takes connections and never answers."""
    hub = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{hub.getsockname()[1]}"
    return hub, {"HF_ENDPOINT": address, "MODELSCOPE_ENDPOINT": address}


@pytest.fixture(scope="module")
def park(gpustack_binary, tmp_path_factory):
    """Five nodes with eight 910B4 each, with engines that stand in for MindIE and vLLM."""
    folder = tmp_path_factory.mktemp("catalog")
    hub, env = silent_hub()
    engines = stand_in_engine.install(folder / "engines")
    cluster = harness.Cluster(gpustack_binary, engines, folder, args=["--disable-worker"], env=env)
    cards = folder / "cards.json"
    cards.write_text(json.dumps({"devices": [
        {"type": "npu", "name": "910B4", "count": CARDS, "memory_total": 32 << 30,
         "memory_used": 0, "island_size": CARDS, "link": "hccs"}]}))
    try:
        cluster.start()
        for number in range(NODES):
            cluster.add_worker(f"node-{number}", ["--fake-devices", str(cards)])
        wait_for(lambda: len(cluster.items("/v2/gpu-devices")) == CARDS * NODES, what="all cards")
        yield cluster
    finally:
        cluster.stop()
        hub.close()


@pytest.fixture(scope="module")
def processors(gpustack_binary, engine_dir, tmp_path_factory):
    """One node without devices, with llama.cpp."""
    hub, env = silent_hub()
    cluster = harness.Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("processors"),
                              env=env)
    try:
        cluster.start()
        name, = wait_for(lambda: [row["name"] for row in cluster.items("/v2/workers")],
                         what="the worker has joined")
        wait_for(lambda: cluster.worker_memory(name), what="it has reported its memory")
        yield cluster
    finally:
        cluster.stop()
        hub.close()


def cli(cluster, *arguments):
    environment = {**os.environ, "GPUSTACK_SERVER_URL": cluster.url,
                   "GPUSTACK_API_KEY": cluster.api_key()}
    return subprocess.run([str(cluster.binary), *arguments], env=environment, capture_output=True,
                          text=True, check=False)


def fits(cluster):
    """{(name, precision, format): row}"""
    formats = {spec["spec_id"]: spec["format"] for one in cluster.items("/v2/model-sets")
               for spec in one["specs"]}
    rows = cluster.admin.get("/v2/model-sets/fit").expect(200)["items"]
    assert [row["spec_id"] for row in rows] == list(range(1, len(formats) + 1))
    return {(row["name"], row["quantization"], formats[row["spec_id"]]): row for row in rows}


def test_sets_and_filters(park):
    sets = park.items("/v2/model-sets")
    assert len(sets) >= 30
    by_name = {one["name"]: one for one in sets}
    qwen = by_name["qwen3-8b"]
    assert qwen["licenses"] == ["Apache-2.0"] and qwen["parameter_count"] == 8190735360
    found = park.admin.get("/v2/model-sets?search=QWEN3%20rerank").expect(200)
    assert {one["name"] for one in found["items"]} == {"qwen3-reranker-0.6b", "qwen3-reranker-4b"}
    assert found["pagination"]["total"] == 2
    found = park.admin.get("/v2/model-sets?categories=embedding&categories=reranker").expect(200)
    assert {word for one in found["items"] for word in one["categories"]} == {"embedding",
                                                                              "reranker"}
    specs = park.admin.get(f"/v2/model-sets/{qwen['id']}/specs").expect(200)["items"]
    assert specs == qwen["specs"]
    missing = park.admin.get("/v2/model-sets/9999/specs")
    assert missing.status == 404 and "9999" in missing.json()["message"]
    wrong = park.admin.get("/v2/model-sets?categories=toys")
    assert wrong.status == 422 and "toys" in wrong.json()["message"]


def test_fit_of_cards(park):
    rows = fits(park)
    small = rows["qwen3-0.6b", "BF16", "safetensors"]
    assert (small["fit"], small["known"], small["reason"]) == ("fits", "catalog", None)
    assert (small["mode"], small["engine"], small["devices"]) == ("on_devices", "mindie", 1)
    assert small["replicas"] >= CARDS * NODES
    large = rows["deepseek-r1-0528", "W8A8", "safetensors"]
    assert large["fit"] == "fits" and large["workers"] > 2 and large["replicas"] == 1
    assert large["devices"] == CARDS * large["workers"]
    assert large["resource_claim"]["vram"] > large["devices"] * (16 << 30)
    never = rows["deepseek-r1", "FP8", "safetensors"]
    assert never["fit"] == "no" and not never["fits_empty_cluster"]
    assert never["reason"]["code"] == "no_worker_fits"
    assert never["reason"]["filter"] == "devices_unfit"
    begin = time.monotonic()
    assert fits(park) == rows
    assert time.monotonic() - begin < 5
    told = cli(park, "catalog", "qwen3-8b")
    assert told.returncode == 0, told.stderr
    lines = {line.split()[2]: line for line in told.stdout.splitlines()}
    assert " fits " in lines["BF16"] and "devices_unfit" in lines["FP8"]
    told = cli(park, "catalog", "qwen3-8b", "--json")
    assert json.loads(told.stdout)[0]["specs"][0]["fit"]["fit"] == "fits"


def test_deploying_what_no_hub_tells_of(park):
    """Placement needs no hub; the engine's files are another matter."""
    qwen, = [one for one in park.items("/v2/model-sets") if one["name"] == "qwen3-32b"]
    spec = qwen["specs"][0]
    begin = time.monotonic()
    answer, = park.admin.post("/v2/model-evaluations", {"model_specs": [spec]}).expect(
        200)["results"]
    assert time.monotonic() - begin < 2  # what is stated isn't waited for
    assert answer["known"] == "catalog" and answer["compatible"]
    told = cli(park, "plan", "hf:Qwen/Qwen3-32B")
    assert told.returncode == 0 and "finds a place" in told.stdout
    row = fits(park)["qwen3-32b", "BF16", "safetensors"]
    assert row["resource_claim"] == answer["resource_claim"]
    told = cli(park, "deploy", "qwen3-32b:BF16")
    assert told.returncode == 0, told.stderr
    assert cli(park, "deploy", "qwen3-32b:bf16").stdout == "qwen3-32b is deployed already.\n"
    placed = wait_for(lambda: [one for one in park.instances("qwen3-32b") if one["worker_id"]],
                      what="it is placed")
    assert len(placed[0]["gpu_indexes"]) == row["devices"]
    known, = [one for one in park.admin.get("/v2/model-metadata").expect(200)["items"]
              if one["key"] == "hf:Qwen/Qwen3-32B"]
    assert (known["state"], known["is_stated"]) == ("known", True)
    park.delete_model("qwen3-32b")
    park.admin.post("/v2/models", spec).expect(200)  # a spec is a body
    park.delete_model("qwen3-32b")
    for source, words in (("nothing-like-it", "gpustack catalog"), ("qwen3-32b:Q1", "no Q1")):
        told = cli(park, "deploy", source)
        assert told.returncode == 5 and words in told.stderr
    told = cli(park, "deploy", "hf:nothing")  # is meant to be a hub's
    assert told.returncode == 2 and "OWNER/REPO" in told.stderr


def keep_out(cluster, workers, enabled):
    for row in workers:
        body = {"maintenance": {"enabled": enabled, "message": "test"}}
        cluster.admin.put(f"/v2/workers/{row['id']}", body).expect(200)


def test_fit_follows_the_cluster(park):
    assert fits(park)["deepseek-r1-0528", "W8A8", "safetensors"]["fit"] == "fits"
    rows = park.items("/v2/workers")
    keep_out(park, rows[1:], True)
    try:
        after = fits(park)["deepseek-r1-0528", "W8A8", "safetensors"]
        assert after["fit"] == "no"
        assert after["reason"]["filter"] == "worker_in_maintenance"
        assert fits(park)["qwen3-8b", "BF16", "safetensors"]["fit"] == "fits"
    finally:
        keep_out(park, rows[1:], False)


def test_fit_of_processors(processors):
    rows = fits(processors)
    small = rows["qwen3-0.6b", "Q8_0", "gguf"]
    assert (small["fit"], small["mode"], small["devices"]) == ("fits", "on_processor", 0)
    assert small["engine"] == "llama.cpp" and small["resource_claim"]["vram"] == 0
    assert small["resource_claim"]["ram"] > 639e6
    refused = rows["qwen3-8b", "BF16", "safetensors"]
    assert refused["fit"] == "no" and refused["reason"]["filter"] == "devices_unfit"
    told = cli(processors, "deploy", "qwen3-0.6b")
    assert told.returncode == 0, told.stderr
    assert processors.model("qwen3-0.6b")["huggingface_filename"] == "Qwen3-0.6B-Q8_0.gguf"
