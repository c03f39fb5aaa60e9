# SPDX-License-Identifier: Apache-2.0
"""Downloads as a worker makes them, from a hub that behaves as a test wants. Control is one that
says what a test wants."""

import random

import pytest

from fake_control import FakeControl
from stand_in_hub import StandInHub

REPO = "acme/small-GGUF"
MODEL = random.Random(7).randbytes(6 << 20)


@pytest.fixture
def hub():
    with StandInHub() as hub:
        hub.add(REPO, "small-Q8_0.gguf", MODEL)
        hub.add(REPO, "small-Q4_0.gguf", MODEL[::-1])
        hub.add(REPO, "config.json", b"{}")
        yield hub


@pytest.fixture
def control(gpustack_binary, engine_dir, tmp_path):
    control = FakeControl(gpustack_binary, engine_dir, tmp_path)
    yield control
    control.stop()


def wish(number=7, lease=1, action="download", file="*Q8_0*", source="huggingface"):
    return {"id": number, "lease": lease, "source": source, "repo_id": REPO, "file": file,
            "action": action}


def state(word):
    return lambda seen: seen["state"] == word


def path_of(worker, seen):
    return worker.data_dir / "cache" / seen["resolved_path"]


@pytest.mark.parametrize("source", ["huggingface", "model_scope"])
def test_a_file_comes_and_goes(control, hub, source):
    worker = control.add_worker("w1", env=hub.env)
    control.desire(model_files=[wish(source=source)])
    seen = control.wait_file(7, state("ready"))
    assert seen["resolved_path"] == f"{source}/{REPO}/small-Q8_0.gguf"
    assert seen["size"] == seen["downloaded"] == len(MODEL) and seen["file_count"] == 1
    assert path_of(worker, seen).read_bytes() == MODEL
    assert hub.count("Q4_0") == 0
    cache = control.reports[worker.number]["status"]["cache"]
    assert cache["error"] is None and cache["total"] >= cache["available"] > 0
    uuid = (worker.data_dir / "cache" / ".gpustack-storage").read_text().strip()
    assert cache["storage_id"] == uuid
    control.desire(model_files=[wish(source=source, action="delete")])
    control.wait_file(7, state("deleted"))
    assert not path_of(worker, seen).exists()


def test_a_killed_worker_goes_on(control, hub):
    hub.rate = 2_000_000
    worker = control.add_worker("w1", env=hub.env)
    control.desire(model_files=[wish()])
    control.wait_file(7, lambda seen: seen["downloaded"] > 1 << 20)
    worker.kill("worker") # its supervisor starts another
    hub.rate = 0 # not before: what is left would come in a moment
    seen = control.wait_file(7, state("ready"))
    assert path_of(worker, seen).read_bytes() == MODEL
    last = [range_ for path, range_, _ in hub.requests if "/resolve/" in path][-1]
    assert int(last.removeprefix("bytes=").split("-")[0]) > 1 << 20
    assert hub.count("/tree/") == 1 # the revision is pinned


def test_a_pause_keeps_what_there_is(control, hub):
    hub.rate = 2_000_000
    worker = control.add_worker("w1", env=hub.env)
    control.desire(model_files=[wish()])
    moving = control.wait_file(7, lambda seen: seen["downloaded"] > 1 << 20)
    assert moving["state"] == "downloading" and moving["files"][0]["name"] == "small-Q8_0.gguf"
    control.desire(model_files=[wish(action="pause")])
    paused = control.wait_file(7, state("paused"))
    assert paused["downloaded"] > 1 << 20 and paused["bytes_per_second"] == 0
    hub.rate = 0
    control.desire(model_files=[wish()])
    seen = control.wait_file(7, state("ready"))
    assert path_of(worker, seen).read_bytes() == MODEL


def test_a_broken_connection_is_no_fault(control, hub):
    hub.cut_after = 3 << 20
    control.add_worker("w1", env=hub.env)
    control.desire(model_files=[wish()])
    seen = control.wait_file(7, lambda seen: seen["state"] in ("ready", "error"))
    assert seen["state"] == "ready"
    assert hub.bytes_sent == len(MODEL)


def test_a_refusal_names_the_variable_and_no_secret(control, hub):
    hub.token = "hf_right"
    worker = control.add_worker("w1", env={**hub.env, "HF_TOKEN": "hf_wrong"})
    control.desire(model_files=[wish()])
    seen = control.wait_file(7, state("error"))
    assert seen["reason"] == "hub_refused" and seen["args"] == {"variable": "HF_TOKEN"}
    assert seen["retry_in_s"] is None and "HF_TOKEN" in seen["message"]
    assert "hf_wrong" not in str(control.reports)
    worker.stop_manager()
    worker.env["HF_TOKEN"] = "hf_right"
    worker.start()
    control.wait_file(7, state("ready"))
    # The CDN is another server: it gets no token.
    assert not any(token for path, _, token in hub.requests if path.startswith(f"/{REPO}/small"))


def test_other_content_is_no_model(control, hub):
    hub.spoils = True
    worker = control.add_worker("w1", env=hub.env)
    control.desire(model_files=[wish()])
    seen = control.wait_file(7, state("error"))
    assert seen["reason"] == "checksum_mismatch" and seen["args"] == {"file": "small-Q8_0.gguf"}
    assert 0 < seen["retry_in_s"] <= 10
    hub.spoils = False
    control.desire(model_files=[wish(lease=2)]) # at once
    seen = control.wait_file(7, state("ready"))
    assert path_of(worker, seen).read_bytes() == MODEL


def test_what_is_missing_is_named(control, hub):
    control.add_worker("w1", env=hub.env)
    control.desire(model_files=[wish(file="*Q2*")])
    seen = control.wait_file(7, state("error"))
    assert seen["reason"] == "file_missing" and "small-Q4_0.gguf" in seen["message"]


def test_workers_that_share_a_folder(control, hub, tmp_path):
    shared = tmp_path / "shared"
    hub.rate = 2_000_000
    first, second = (control.add_worker(name, "--cache-dir", str(shared), env=hub.env)
                     for name in ("w1", "w2"))
    ids = {control.reports[worker.number]["status"]["cache"]["storage_id"]
           for worker in (first, second) if control.wait_reports(2) or True}
    assert len(ids) == 1
    control.desire(model_files=[wish()], worker=first)
    control.wait_file(7, lambda seen: seen["downloaded"] > 1 << 20, first)
    control.desire(model_files=[wish(lease=2)], worker=second) # the first still writes
    hub.rate = 0
    seen = control.wait_file(7, state("ready"), second)
    assert (shared / seen["resolved_path"]).read_bytes() == MODEL
    late = control.wait_file(7, lambda seen: seen["state"] in ("waiting", "ready"), first)
    assert late["lease"] == 1
