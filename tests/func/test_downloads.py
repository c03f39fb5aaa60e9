# SPDX-License-Identifier: Apache-2.0
"""Models of hubs, from the deployment to the answer: the real worker downloads from a stand-in for
the hubs, and a real engine serves what came."""

import os
import pathlib

import pytest

from harness import wait_for
from stand_in_hub import StandInHub

REPO = "acme/hello"
FILE = "hello-Q8_0.gguf"
SLOW = 200_000     # bytes per second: a second or two for the model


@pytest.fixture
def hub(demo_model):
    with StandInHub() as hub:
        hub.uses_cdn = False       # control reads headers of the hub itself, or by https
        hub.add(REPO, FILE, demo_model.read_bytes())
        hub.add(REPO, "README.md", b"# hello\n")
        yield hub


@pytest.fixture
def park(make_cluster, hub, tmp_path):
    """A server whose own worker downloads."""
    cluster = make_cluster(args=["--cache-dir", str(tmp_path / "cache")], env=hub.env).start()
    wait_for(lambda: [row for row in cluster.items("/v2/workers") if row["status"]],
             what="the worker has reported")
    return cluster


def deploy(cluster, name="hello", pattern="*Q8_0*", **fields):
    return cluster.admin.post("/v2/models", {
        "name": name, "source": "huggingface", "huggingface_repo_id": REPO,
        "huggingface_filename": pattern, "replicas": 1, **fields}).expect(200)


def only_file(cluster):
    rows = cluster.items("/v2/model-files?source=huggingface")
    assert len(rows) <= 1
    return rows[0] if rows else None


def wait_file(cluster, accept, what, timeout=30):
    def look():
        row = only_file(cluster)
        return row if row and accept(row) else None
    return wait_for(look, timeout, what)


def is_under_way(row):
    return row["state"] == "downloading" and 0 < row["downloaded"] < row["size"]


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*")
                  if path.is_file())


def test_from_the_hub_to_an_answer(park, hub, demo_model, tmp_path):
    hub.rate = SLOW
    deploy(park)
    row = wait_file(park, is_under_way, "progress")
    assert row["storage"]["dir"] == str(tmp_path / "cache") and row["models"][0]["name"] == "hello"
    held = wait_for(lambda: next((one for one in park.instances("hello")
                                  if one["state"] == "downloading"
                                  and one["download_progress"] > 0), None),
                    what="the instance shows it")
    assert REPO in held["state_message"] and held["pid"] is None
    hub.rate = 0
    park.wait_running("hello")
    assert park.chat("hello")
    done = only_file(park)
    assert done["state"] == "ready" and done["download_progress"] == 100
    assert done["size"] == demo_model.stat().st_size
    (path,) = done["resolved_paths"]
    assert pathlib.Path(path).read_bytes() == demo_model.read_bytes()
    assert park.instances("hello")[0]["resolved_path"] == path
    # Used: it stays. Then it goes, and nothing else does.
    beside = tmp_path / "cache" / "mine.gguf"
    beside.write_bytes(b"mine")
    refusal = park.admin.delete(f"/v2/model-files/{done['id']}?cleanup=true")
    assert refusal.status == 409 and "hello" in refusal.json()["message"]
    park.delete_model("hello")
    park.admin.delete(f"/v2/model-files/{done['id']}?cleanup=true").expect(200)
    wait_for(lambda: only_file(park) is None, what="the row has gone")
    assert not pathlib.Path(path).exists()
    assert beside.read_bytes() == b"mine"


def test_pause_and_resume(park, hub):
    hub.rate = SLOW
    deploy(park)
    row = wait_file(park, is_under_way, "progress")
    park.admin.post(f"/v2/model-files/{row['id']}/pause").expect(200)
    wait_for(lambda: park.instances("hello")[0]["state_reason"] == "download_paused",
             what="the instance says so")
    hub.rate = 0
    park.admin.post(f"/v2/model-files/{row['id']}/resume").expect(200)
    park.wait_running("hello")


def test_a_pattern_that_names_nothing(park, hub):
    deploy(park, pattern="*Q2_K*")
    stuck = wait_for(lambda: next((one for one in park.instances("hello")
                                   if one["state_reason"] == "model_missing"), None),
                     what="the instance says why it has no place")
    assert "Q2_K" in stuck["state_message"]
    worker = park.items("/v2/workers")[0]
    park.admin.post("/v2/model-files", {
        "source": "huggingface", "huggingface_repo_id": REPO, "huggingface_filename": "*Q2_K*",
        "worker_id": worker["id"]}).expect(200)
    row = wait_file(park, lambda row: row["state"] == "error", "the row says so")
    assert row["state_reason"] == "file_missing" and FILE in row["state_message"]


def test_what_was_fetched_is_not_fetched_again(park, hub, demo_model):
    """The worker is killed and a connection breaks; at most a tenth comes twice."""
    hub.rate = SLOW
    deploy(park)
    wait_file(park, is_under_way, "progress")
    size = demo_model.stat().st_size
    park.kill("worker")
    hub.cut_after = size // 4
    wait_file(park, lambda row: row["state"] == "downloading" and row["downloaded"] > 0,
              "it goes on")
    park.kill("control")
    wait_for(lambda: park.admin.get("/v2/models").status == 200, what="control is back")
    hub.rate = 0
    park.wait_running("hello", timeout=60)
    assert park.chat("hello")


def test_two_workers_on_one_storage(make_cluster, hub, demo_model, tmp_path):
    shared = ["--cache-dir", str(tmp_path / "shared")]
    park = make_cluster(args=["--disable-worker"], env=hub.env).start()
    first = park.add_worker("w1", args=shared, env=hub.env)
    park.add_worker("w2", args=shared, env=hub.env)
    hub.rate = SLOW
    deploy(park, replicas=2, placement_strategy="spread")
    row = wait_file(park, is_under_way, "progress")
    assert len(row["worker_ids"]) == 2
    before = hub.bytes_sent
    hub.rate = 0
    park.wait_running("hello", 2)
    assert {one["worker_name"] for one in park.instances("hello")} == {"w1", "w2"}
    assert hub.bytes_sent - before <= 1.1 * demo_model.stat().st_size
    assert os.path.exists(only_file(park)["resolved_paths"][0])
    assert first.pid("worker")


def test_the_other_worker_takes_over(make_cluster, hub, tmp_path):
    shared = ["--cache-dir", str(tmp_path / "shared")]
    park = make_cluster(args=["--disable-worker"], env=hub.env).start()
    workers = {name: park.add_worker(name, args=shared, env=hub.env) for name in ("w1", "w2")}
    hub.rate = SLOW
    deploy(park)
    row = wait_file(park, is_under_way, "progress")
    holder = workers[row["worker_name"]]
    holder.stop()
    park.admin.delete(f"/v2/workers/{row['worker_id']}").expect(200)
    hub.rate = 0
    wait_file(park, lambda seen: seen["state"] == "ready" and seen["worker_id"] != row["worker_id"],
              "the other one has it", 60)
    park.wait_running("hello", timeout=60)
    assert not [name for name in files_below(tmp_path / "shared") if name.endswith(".part")]


def test_a_model_that_goes_takes_its_download_along(park, hub, tmp_path):
    hub.rate = SLOW
    deploy(park)
    wait_file(park, is_under_way, "progress")
    park.delete_model("hello")
    wait_for(lambda: only_file(park) is None, what="the row has gone")
    wait_for(lambda: not [name for name in files_below(tmp_path / "cache")
                          if name.endswith((".part", ".gguf"))], what="no part is left")
