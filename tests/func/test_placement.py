# SPDX-License-Identifier: Apache-2.0
"""Where models go on five nodes with eight 910B4 each, told before and done for real, with engines
that stand in for vLLM and MindIE."""

import json
import os
import socket
import subprocess
import threading
import time

import pytest

import harness
import public_models
import stand_in_engine
from harness import read_proc, wait_for

CARDS, CARD_BYTES = 8, 32 << 30
AWAITED = 3            # seconds for which control waits for what nobody knows yet
NODES = ["node-1", "node-2", "node-3", "node-4", "node-5"]
RACKS = {"node-1": "a", "node-2": "a", "node-3": "a", "node-4": "b", "node-5": "b"}
ALL = list(public_models.CONFIGS)


class Park:
    """The cluster, its models' folders and its cards."""

    def __init__(self, binary, folder):
        self.folder = folder
        self.hub = socket.create_server(("127.0.0.1", 0))  # takes connections, never answers
        hub = f"http://127.0.0.1:{self.hub.getsockname()[1]}"
        engines = stand_in_engine.install(folder / "engines")
        self.cluster = harness.Cluster(binary, engines, folder, args=["--disable-worker"],
                                       env={"HF_ENDPOINT": hub})
        for name in ALL:
            public_models.write(name, folder / "models" / name)

    def start(self):
        self.cluster.start()
        for name in NODES:
            self.set_used(name, 0)
            self.cluster.add_worker(name, ["--fake-devices", str(self.cards_of(name))])
        for row in self.cluster.items("/v2/workers"):
            labels = {**row["labels"], "rack": RACKS[row["name"]]}
            self.cluster.admin.put(f"/v2/workers/{row['id']}", {"labels": labels}).expect(200)
        wait_for(lambda: len(self.cluster.items("/v2/gpu-devices")) == CARDS * len(NODES),
                 what="all cards")

    def stop(self):
        self.cluster.stop()
        self.hub.close()

    def path(self, name):
        return str(self.folder / "models" / name)

    def cards_of(self, node):
        return self.folder / f"{node}.json"

    def set_used(self, node, used):
        """What somebody else uses of each card of the node."""
        cards = {"type": "npu", "name": "910B4", "count": CARDS, "memory_total": CARD_BYTES,
                 "memory_used": used, "island_size": CARDS, "link": "hccs"}
        made = self.cards_of(node).with_suffix(".new")
        made.write_text(json.dumps({"devices": [cards]}))
        made.rename(self.cards_of(node))

    def spec(self, name, **fields):
        return {"source": "local_path", "local_path": self.path(name), **fields}

    def evaluate(self, *specs):
        body = {"model_specs": list(specs)}
        reply = self.cluster.admin.post("/v2/model-evaluations", body)
        return reply.expect(200)["results"]

    def cli(self, *arguments):
        environment = {**os.environ, "GPUSTACK_SERVER_URL": self.cluster.url,
                       "GPUSTACK_API_KEY": self.cluster.api_key()}
        return subprocess.run([str(self.cluster.binary), *arguments], env=environment,
                              capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def park(gpustack_binary, tmp_path_factory):
    made = Park(gpustack_binary, tmp_path_factory.mktemp("park"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def empty(park):
    """The park without models afterwards."""
    yield park
    for row in park.cluster.items("/v2/models"):
        park.cluster.delete_model(row["name"])


def check_claims(placement):
    """No card gives more than it has, and none is given twice."""
    seen = set()
    for rank in placement["ranks"]:
        assert len(rank["gpu_indexes"]) == len(rank["gpu_bytes"]) > 0
        assert max(rank["gpu_bytes"]) <= CARD_BYTES
        for index in rank["gpu_indexes"]:
            assert (rank["worker"], index) not in seen
            seen.add((rank["worker"], index))
    return seen


# --- plans ---------------------------------------------------------------------------------------

# (tensor parallel, nodes) by engine
PLANS = {
    "qwen3-0.6b": {"mindie": (1, 1), "vllm": (1, 1)},
    "qwen3-8b": {"mindie": (1, 1), "vllm": (1, 1)},
    "qwen3-32b": {"mindie": (4, 1), "vllm": (4, 1)},
    "qwen3-235b-a22b": {"mindie": (8, 3), "vllm": (8, 2)},
    "deepseek-r1-w8a8": {"mindie": (8, 4), "vllm": (8, 3)},
}
SHORTER = {"vllm": ["--max-model-len 16384"], "mindie": []}


@pytest.mark.parametrize("engine", ["mindie", "vllm"])
@pytest.mark.parametrize("name", ALL)
def test_plans(park, name, engine):
    tensor, nodes = PLANS[name][engine]
    parameters = SHORTER[engine]
    answer, = park.evaluate(park.spec(name, backend=engine, backend_parameters=parameters))
    assert answer["compatible"] and answer["known"] == "yes"
    placement = answer["placement"]
    assert (placement["mode"], placement["engine"]) == ("on_devices", engine)
    assert placement["tensor_parallel"] == tensor
    assert placement["pipeline_parallel"] == nodes == len(placement["ranks"])
    assert len(check_claims(placement)) == tensor * nodes
    claimed = sum(sum(rank["gpu_bytes"]) for rank in placement["ranks"])
    assert answer["resource_claim"]["vram"] == claimed > sum(
        file.stat().st_size for file in (park.folder / "models" / name).glob("*.safetensors"))
    assert placement["cost"]["total"] == sum(
        value for key, value in placement["cost"].items() if key != "total")
    if nodes in (2, 3):
        assert len({RACKS[rank["worker"]] for rank in placement["ranks"]}) == 1

    options = [word for parameter in parameters for word in ("--param", parameter)]
    told = park.cli("plan", park.path(name), "--backend", engine, *options)
    assert told.returncode == 0, told.stderr
    assert f"engine {engine}, TP {tensor} x PP {nodes}, context" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 100
    rows = [line.split() for line in told.stdout.splitlines() if line.startswith("1 ")]
    assert [row[2] for row in rows] == [rank["worker"] for rank in placement["ranks"]]
    told = park.cli("plan", park.path(name), "--backend", engine, "--json", *options)
    assert json.loads(told.stdout)["placement"] == placement


def test_without_an_engine_it_is_the_devices_own(park):
    answer, = park.evaluate(park.spec("qwen3-8b"))
    assert answer["placement"]["engine"] == "mindie"


def test_replicas_one_after_the_other(park):
    answer, = park.evaluate(park.spec("qwen3-235b-a22b", backend="vllm", replicas=3))
    assert answer["replicas"] == {"wanted": 3, "tried": 3, "placed": 2} and answer["compatible"]
    nodes = [rank["worker"] for one in answer["placements"] for rank in one["ranks"]]
    assert len(nodes) == len(set(nodes)) == 4
    told = park.cli("plan", park.path("qwen3-235b-a22b"), "--backend", "vllm", "--replicas", "3",
                    "--name", "big")
    assert told.returncode == 2
    assert "big finds places for 2 of 3 replicas." in told.stdout
    again, = park.evaluate(park.spec("qwen3-235b-a22b", backend="vllm", replicas=3))
    assert again == answer


def test_strategies_and_constraints(park):
    answer, = park.evaluate(park.spec("qwen3-8b", worker_selector={"rack": "b"}))
    assert answer["placement"]["ranks"][0]["worker"] in ("node-4", "node-5")
    told = park.cli("plan", park.path("qwen3-8b"), "--selector", "rack=b", "--gpu-ids",
                    "node-5:npu:6", "--json")
    rank, = json.loads(told.stdout)["placement"]["ranks"]
    assert (rank["worker"], rank["gpu_indexes"]) == ("node-5", [6])
    answer, = park.evaluate(park.spec("qwen3-8b", replicas=5, placement_strategy="spread"))
    assert {one["ranks"][0]["worker"] for one in answer["placements"]} == set(NODES)


# --- for real ------------------------------------------------------------------------------------


def where(row):
    """{worker: devices} of an instance."""
    servers = row["distributed_servers"] or {}
    ranks = [servers["main_worker"], *servers["subordinate_workers"]] if servers else [row]
    return {rank["worker_name"]: sorted(rank["gpu_indexes"]) for rank in ranks}


def planned(placement):
    return {rank["worker"]: sorted(rank["gpu_indexes"]) for rank in placement["ranks"]}


def deploy(park, name, **fields):
    """Deploys it for real and returns (plan, instance)."""
    answer, = park.evaluate(park.spec(name, **fields))
    park.cluster.deploy(name, park.path(name), timeout=60, **fields)
    row, = park.cluster.instances(name)
    return answer["placement"], row


def test_what_was_planned_is_what_runs(empty):
    for name, fields in (("qwen3-32b", {}), ("qwen3-235b-a22b", {"backend": "vllm"})):
        plan, row = deploy(empty, name, **fields)
        assert where(row) == planned(plan)
        assert empty.cluster.chat(name) == f"{name} stands in."
    pids = [pid for node in empty.cluster.workers for pid in node.engine_pids()]
    lines = [read_proc(pid, "cmdline") for pid in pids]
    assert len(lines) == 3
    one, = [words for words in lines if "--npu-memory-fraction" in words]
    assert one[one.index("--tensor-parallel-size") + 1] == "4"
    ranks = [words for words in lines if "--nnodes" in words]
    assert {words[words.index("--node-rank") + 1] for words in ranks} == {"0", "1"}
    for words in ranks:
        assert words[words.index("--pipeline-parallel-size") + 1] == "2"
        assert 0 < float(words[words.index("--gpu-memory-utilization") + 1]) <= 1


def refusal(park, *specs):
    """The answer as soon as it is a refusal for want of room."""
    def refused():
        answer, = park.evaluate(*specs)
        return answer if not answer["compatible"] and "funnel" in answer["reason"] else None

    return wait_for(refused, what="no room")


def test_memory_that_others_use(empty):
    spec = empty.spec("qwen3-8b", backend="mindie")
    for node in NODES:
        empty.set_used(node, 29 << 30)
    answer = refusal(empty, spec)
    wait_for(lambda: len([one for one in empty.evaluate(spec)[0]["reason"]["devices"]
                          if one["code"] == "memory_short"]) == CARDS * len(NODES),
             what="all cards are short")
    answer, = empty.evaluate(spec)
    assert answer["reason"]["code"] == "no_worker_fits"
    assert answer["reason"]["funnel"] == [
        {"filter": "device_memory_short", "refused": 5, "left": 0}]
    for device in answer["reason"]["devices"]:
        assert device["free"] == 3 << 30 < device["needs"] < CARD_BYTES
    told = empty.cli("plan", empty.path("qwen3-8b"), "--backend", "mindie")
    assert told.returncode == 2
    assert "device_memory_short" in told.stdout and "3.0 GiB" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 100

    empty.cluster.deploy("qwen3-8b", empty.path("qwen3-8b"), wait=False, backend="mindie",
                         priority=7, placement_strategy="auto")
    row = wait_for(lambda: next((row for row in empty.cluster.instances("qwen3-8b")
                                 if row["state_reason"] == "no_worker_fits"), None),
                   what="it waits")
    assert "3.0 GiB free" in row["state_message"]
    for node in NODES:
        empty.set_used(node, 0)
    empty.cluster.wait_running("qwen3-8b")


def test_true_ways_out(empty):
    parameters = ["--tensor-parallel-size 2", "--pipeline-parallel-size 1"]
    spec = empty.spec("qwen3-32b", backend="vllm", backend_parameters=parameters)
    answer, = empty.evaluate(spec)
    assert not answer["compatible"]
    ways = {way["code"]: way["message"] for way in answer["ways_out"]}
    assert "--tensor-parallel-size=4" in ways["tensor_parallel"]
    better = {**spec, "backend_parameters": [*parameters, "--tensor-parallel-size=4"]}
    answer, = empty.evaluate(better)
    assert answer["compatible"] and answer["placement"]["tensor_parallel"] == 4
    told = empty.cli("plan", empty.path("qwen3-32b"), "--backend", "vllm", "--", *parameters)
    assert told.returncode == 2 and "Ways out, each of them tried:" in told.stdout

    empty.cluster.deploy("stuck", empty.path("qwen3-32b"), wait=False, backend="vllm",
                         backend_parameters=parameters)
    wait_for(lambda: "stuck waits for a place." in empty.cli("ps").stdout, what="ps tells")
    assert "--tensor-parallel-size=4" in empty.cli("ps").stdout


# --- what can't be known, and what can't be ------------------------------------------------------


def test_a_hub_that_is_silent(park):
    specs = [{"source": "huggingface", "huggingface_repo_id": f"acme/m{i}"} for i in range(6)]
    specs.append(park.spec("qwen3-0.6b"))
    begin = time.monotonic()
    answers = []
    thread = threading.Thread(target=lambda: answers.extend(park.evaluate(*specs)))
    thread.start()
    while thread.is_alive():  # others are served meanwhile
        asked = time.monotonic()
        park.cluster.admin.get("/v2/models").expect(200)
        assert time.monotonic() - asked < AWAITED
    taken = time.monotonic() - begin
    assert AWAITED - 0.5 < taken < AWAITED + 5
    for answer in answers[:6]:
        assert answer["known"] == "soon" and not answer["compatible"]
        assert answer["reason"] == {"code": "reading_model"} and answer["ways_out"] == []
        assert "being looked at" in answer["scheduling_messages"][0]
    assert answers[6]["compatible"]
    told = park.cli("plan", "hf:acme/m1/model.gguf")
    assert told.returncode == 2 and "being looked at" in told.stdout


def test_a_client_that_leaves_while_it_waits(park):
    body = {"model_specs": [{"source": "huggingface", "huggingface_repo_id": "acme/left"}]}
    with pytest.raises(TimeoutError):
        park.cluster.admin.post("/v2/model-evaluations", body, timeout=0.5)
    assert park.evaluate(park.spec("qwen3-0.6b"))[0]["compatible"]


def test_wrong_inputs(park):
    admin = park.cluster.admin
    many = admin.post("/v2/model-evaluations", {"model_specs": [{}] * 51})
    assert many.status == 422 and "50" in many.json()["message"]
    assert "51" in many.json()["message"]
    none = admin.post("/v2/model-evaluations", {"model_specs": "qwen"})
    assert none.status == 422 and "model_specs" in none.json()["message"]
    answers = park.evaluate({}, park.spec("qwen3-8b", placement_strategy="tightly"),
                            park.spec("qwen3-8b", backend="vllm",
                                      backend_parameters=["--max-model-len 999999999"]))
    assert [answer["error"] for answer in answers] == [True, True, False]
    assert "tightly" in answers[1]["error_message"]
    assert "268435456" in answers[2]["compatibility_messages"][0]


@pytest.mark.parametrize("arguments, status, words", [
    (["plan", "hf:acme"], 2, "hf: must be followed by OWNER/REPO"),
    (["plan", "/m", "--replicas", "many"], 2, "--replicas must be 0-1000, not many"),
    (["plan", "/m", "--selector", "rack"], 2, "must be KEY=VALUE"),
    (["plan", "/m", "--placement-strategy", "tight"], 1, "tight"),
    (["plan"], 2, "PATH"),
    (["deploy", "hf:acme"], 2, "must be followed by OWNER/REPO"),
    (["defrag"], 2, "--dry-run"),
])
def test_wrong_commands(park, arguments, status, words):
    told = park.cli(*arguments)
    assert (told.returncode, words in told.stderr) == (status, True), told.stderr


def test_nothing_to_tidy_up(park):
    told = park.cli("defrag", "--dry-run")
    assert (told.returncode, told.stdout) == (0, "No move would help.\n")
    plan = park.cluster.admin.get("/v2/rebalance-plan").expect(200)
    assert plan == {"moves": [], "placed": [], "is_complete": True}
