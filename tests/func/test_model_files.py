# SPDX-License-Identifier: Apache-2.0
"""Model files of hubs as control keeps them: rows, leases, held instances, the API, the CLI. The
workers are made up; test_downloads.py has real ones."""

import json
import subprocess

import pytest

from fetching_worker import FetchingWorker
from harness import wait_for
from stand_in_hub import StandInHub

MODEL = {"name": "m", "source": "huggingface", "huggingface_repo_id": "acme/hello",
         "huggingface_filename": "*Q8_0*", "replicas": 1}
READY = {"size": 1000, "downloaded": 1000, "file_count": 1, "files_ready": 1, "revision": "abc",
         "resolved_path": "huggingface/acme/hello/hello-Q8_0.gguf"}


@pytest.fixture
def hub(demo_model):
    with StandInHub() as hub:
        hub.uses_cdn = False       # control reads headers of the hub itself, or by https
        hub.add("acme/hello", "hello-Q8_0.gguf", demo_model.read_bytes())
        yield hub


@pytest.fixture
def cluster(make_cluster, hub):
    """A server without a worker of its own; its control reads of the stand-in."""
    cluster = make_cluster(args=["--disable-worker"], env=hub.env).start()
    cluster.fetchers = []
    yield cluster
    for worker in cluster.fetchers:
        worker.stop()


def add(cluster, name, **options):
    worker = FetchingWorker(cluster, name, **options)
    cluster.fetchers.append(worker)
    return worker


def deploy(cluster, **fields):
    return cluster.admin.post("/v2/models", {**MODEL, **fields}).expect(200)


def only_file(cluster):
    (row,) = cluster.items("/v2/model-files?source=huggingface")
    return row


def only_instance(cluster, name="m"):
    (row,) = cluster.instances(name)
    return row


def wait_state(cluster, state, reason=None):
    def look():
        row = only_instance(cluster)
        return row if row["state"] == state and reason in (None, row["state_reason"]) else None
    return wait_for(look, what=f"the instance is {state}")


def kill_control(cluster):
    cluster.kill("control")
    wait_for(lambda: cluster.admin.get("/v2/models").status == 200, what="control is back")


def cli(cluster, *arguments):
    return subprocess.run(
        [cluster.binary, "files", *arguments], capture_output=True, text=True,
        env={"GPUSTACK_SERVER_URL": cluster.url, "GPUSTACK_API_KEY": cluster.api_key(),
             "HOME": str(cluster.folder)})


def test_from_a_model_to_an_engine(cluster):
    worker = add(cluster, "w1")
    deploy(cluster)
    wish = worker.wait_wish()
    assert wish["action"] == "download" and wish["source"] == "huggingface"
    assert wish["repo_id"] == "acme/hello" and wish["file"] == "*Q8_0*"
    assert not worker.desired["instances"]
    worker.tell(wish, "downloading", size=1000, downloaded=250, bytes_per_second=100, file_count=1,
                files=[{"name": "hello-Q8_0.gguf", "size": 1000, "downloaded": 250}])
    row = wait_for(lambda: (only_file(cluster)["download_progress"] == 25 and only_file(cluster)),
                   what="progress")
    assert row["state"] == "downloading" and row["eta_s"] == 8 and row["worker_name"] == "w1"
    assert row["files"][0]["downloaded"] == 250 and row["storage_id"] == worker.storage
    assert row["models"] == [{"id": cluster.model("m")["id"], "name": "m"}]
    assert row["storage"]["total"] == 1 << 40 and row["resolved_paths"] == []
    held = wait_for(lambda: only_instance(cluster)["download_progress"] == 25
                    and only_instance(cluster), what="the instance shows it")
    assert held["state"] == "downloading" and "acme/hello" in held["state_message"]
    worker.tell(wish, "ready", **READY)
    entry = worker.wait_instance()
    assert entry["source"] == "local_path"
    assert entry["local_path"] == "/cache/w1/huggingface/acme/hello/hello-Q8_0.gguf"
    assert only_file(cluster)["resolved_paths"] == [entry["local_path"]]
    worker.runs(entry)
    wait_state(cluster, "running")
    events = {row["reason"] for row in cluster.items("/v2/events")
              if row["object_kind"] == "model-file"}
    assert {"download_begun", "download_ready"} <= events


def test_pause_resume_retry_and_errors(cluster):
    worker = add(cluster, "w1")
    deploy(cluster)
    wish = worker.wait_wish()
    worker.tell(wish, "downloading", size=1000, downloaded=250)
    path = f"/v2/model-files/{wish['id']}"
    assert cluster.admin.post(f"{path}/resume").status == 409
    assert cluster.admin.post(f"{path}/pause").expect(200)["state"] == "paused"
    worker.wait_wish(lambda wish: wish["action"] == "pause")
    paused = wait_state(cluster, "downloading", "download_paused")
    assert paused["state_args"] == {"model_file_id": wish["id"]}
    cluster.admin.post(f"{path}/resume").expect(200)
    worker.wait_wish(lambda wish: wish["action"] == "download")
    worker.tell(wish, "error", size=1000, downloaded=250, reason="disk_full", retry_in_s=30,
                args={"needs": 750, "free": 10}, message="750 bytes are needed, 10 are free")
    failed = wait_state(cluster, "error", "disk_full")
    assert failed["state_args"] == {"needs": 750, "free": 10}
    assert failed["state_message"] == "750 bytes are needed, 10 are free"
    assert only_file(cluster)["retry_at"]
    again = cluster.admin.post(f"{path}/reset").expect(200)
    assert again["state"] == "waiting" and again["state_reason"] == "none"
    fresh = worker.wait_wish(lambda seen: seen["lease"] > wish["lease"])
    worker.tell(fresh, "ready", **READY)
    wait_state(cluster, "scheduled")
    assert cluster.admin.post(f"{path}/reset").status == 409
    assert cluster.admin.post("/v2/model-files/99/pause").status == 404


def test_a_kill_of_control_loses_nothing(cluster):
    worker = add(cluster, "w1")
    deploy(cluster)
    wish = worker.wait_wish()
    worker.tell(wish, "downloading", size=1000, downloaded=250)
    wait_for(lambda: only_file(cluster)["downloaded"] == 250, what="progress")
    kill_control(cluster)
    wait_for(lambda: only_file(cluster)["downloaded"] == 250, what="control is back")
    assert worker.wait_wish()["lease"] == wish["lease"]
    assert only_instance(cluster)["state"] == "downloading"
    worker.tell(wish, "ready", **READY)
    worker.runs(worker.wait_instance())
    wait_state(cluster, "running")
    kill_control(cluster)
    wait_for(lambda: only_file(cluster)["state"] == "ready", what="control is back")
    assert only_file(cluster)["download_progress"] == 100
    wait_state(cluster, "running")


def test_deleting(cluster):
    worker = add(cluster, "w1")
    model = deploy(cluster)
    wish = worker.wait_wish()
    worker.tell(wish, "ready", **READY)
    worker.runs(worker.wait_instance())
    path = f"/v2/model-files/{wish['id']}"
    refusal = cluster.admin.delete(f"{path}?cleanup=true")
    assert refusal.status == 409 and "instances of m use" in refusal.json()["message"]
    cluster.admin.delete(f"/v2/models/{model['id']}").expect(200)
    cluster.admin.delete(f"{path}?cleanup=true").expect(200)
    assert only_file(cluster)["state"] == "deleting"
    worker.wait_wish(lambda wish: wish["action"] == "delete")
    worker.tell(wish, "deleted")
    wait_for(lambda: not cluster.items("/v2/model-files"), what="the row has gone")
    wait_for(lambda: not worker.wishes(), what="the wish has gone")


def test_asked_for_before_a_model(cluster):
    worker = add(cluster, "w1")
    old = add(cluster, "old", downloads=False)
    body = {key: MODEL[key] for key in MODEL if key not in ("name", "replicas")}
    row = cluster.admin.post("/v2/model-files", {**body, "worker_id": worker.id}).expect(200)
    assert row["state"] == "waiting" and row["worker_id"] == worker.id
    assert cluster.admin.post("/v2/model-files", {**body, "worker_id": worker.id}).status == 409
    for wrong in ({"worker_id": 99}, {"worker_id": old.id}, {}, {"worker_id": worker.id,
                  "huggingface_repo_id": "../x"}, {"worker_id": worker.id, "source": "local_path"},
                  {"worker_id": worker.id, "huggingface_filename": "../x"}):
        assert cluster.admin.post("/v2/model-files", {**body, **wrong}).status == 422, wrong
    worker.tell(worker.wait_wish(), "ready", **READY)
    wait_for(lambda: only_file(cluster)["state"] == "ready", what="it is there")
    assert only_file(cluster)["models"] == []


def test_another_worker_of_the_storage_takes_over(cluster):
    first = add(cluster, "w1", storage="shared")
    deploy(cluster)
    wish = first.wait_wish()
    second = add(cluster, "w2", storage="shared")
    first.tell(wish, "downloading", size=1000, downloaded=500)
    wait_for(lambda: only_file(cluster)["worker_ids"] == [first.id, second.id], what="both see it")
    first.stop()
    cluster.admin.delete(f"/v2/workers/{first.id}").expect(200)
    taken = second.wait_wish()
    assert taken["id"] == wish["id"] and taken["lease"] > wish["lease"]
    second.tell(taken, "ready", **READY)
    entry = second.wait_instance()
    assert entry["local_path"] == "/cache/w2/huggingface/acme/hello/hello-Q8_0.gguf"


def test_a_worker_that_cannot_download(cluster):
    worker = add(cluster, "old", downloads=False)
    deploy(cluster)
    entry = worker.wait_instance()
    assert entry["source"] == "huggingface" and "model_files" not in worker.desired
    assert cluster.items("/v2/model-files") == []


def test_changes_are_told(cluster):
    worker = add(cluster, "w1")
    watch = cluster.admin.lines("GET", "/v2/model-files?watch=true", timeout=20)
    deploy(cluster)
    wish = worker.wait_wish()
    frame = next(line for line in watch if line)
    data = (frame if isinstance(frame, dict) else json.loads(frame))["data"]
    assert data["id"] == wish["id"] and data["state"] == "waiting"
    watch.close()


def test_on_the_command_line(cluster):
    worker = add(cluster, "w1")
    fetched = cli(cluster, "fetch", "hf:acme/hello/*Q8_0*", "--worker", "w1")
    assert fetched.returncode == 0 and "is to be downloaded" in fetched.stdout
    wish = worker.wait_wish()
    worker.tell(wish, "downloading", size=1 << 20, downloaded=1 << 19, bytes_per_second=1 << 18)
    wait_for(lambda: "50%" in cli(cluster).stdout, what="the list shows progress")
    table = cli(cluster, "list").stdout
    assert "hf:acme/hello/*Q8_0*" in table and "256.0 KiB/s, 2 s" in table and "w1" in table
    assert json.loads(cli(cluster, "get", str(wish["id"])).stdout)["size"] == 1 << 20
    for verb, words in (("pause", "is paused"), ("resume", "goes on"),
                        ("retry", "is tried again")):
        done = cli(cluster, verb, str(wish["id"]))
        assert done.returncode == 0 and words in done.stdout, done
    deleted = cli(cluster, "delete", str(wish["id"]))
    assert deleted.returncode == 0 and "forgotten" in deleted.stdout
    assert cli(cluster, "get", str(wish["id"])).returncode == 5
    for wrong in (["get"], ["get", "x"], ["fly", "1"], ["fetch", "hf:acme/hello"]):
        assert cli(cluster, *wrong).returncode == 2, wrong
    assert json.loads(cli(cluster, "--json").stdout) == []
