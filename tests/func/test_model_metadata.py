# SPDX-License-Identifier: Apache-2.0
"""What models are made of, as control finds it out: of its workers' files and of a hub."""

import http.server
import json
import os
import re
import threading

import pytest

import gguf_models
import hf_models
from harness import wait_for

RETRIED = 30  # seconds; a hub that was down is tried again after 5


def metadata(cluster, key):
    """The row of that key, or None."""
    reply = cluster.admin.get("/v2/model-metadata")
    if reply.status != 200:
        raise ValueError(reply.text)  # control restarts
    return {row["key"]: row for row in reply.json()["items"]}.get(key)


def wait_state(cluster, key, state, timeout=20):
    def reached():
        row = metadata(cluster, key)
        if not row or row["state"] != state:
            raise ValueError(row)
        return row

    return wait_for(reached, timeout, f"{key} is {state}")


def add(cluster, name, **fields):
    """A model that nobody runs."""
    cluster.admin.post("/v2/models", {"name": name, "replicas": 0, **fields}).expect(200)


def add_local(cluster, name, path):
    add(cluster, name, source="local_path", local_path=str(path))
    return f"path:{path}"


# --- paths ---------------------------------------------------------------------------------------


def test_files_on_workers(make_cluster, tmp_path):
    cluster = make_cluster(args=["--worker-name", "first"]).start()
    cluster.add_worker("second")
    gguf = tmp_path / "gqa.gguf"
    gguf_models.write_model(gguf, gguf_models.SHAPES["gqa"])
    bytes_of_llama = hf_models.write_llama(tmp_path / "llama")
    keys = [add_local(cluster, "gguf", gguf), add_local(cluster, "llama", tmp_path / "llama"),
            add_local(cluster, "text", __file__), add_local(cluster, "none", "/nonexistent/m.gguf")]
    wait_for(lambda: cluster.worker_state("first") == "ready", what="both workers are there")
    first, second = sorted(worker["id"] for worker in cluster.items("/v2/workers"))

    row = wait_state(cluster, keys[0], "known")
    assert (row["architecture"], row["format"], row["kind"]) == ("llama", "gguf", "llm")
    assert row["tensor_bytes"] > 0 and row["parameter_count"] > 0
    wait_for(lambda: metadata(cluster, keys[0])["present_on"] == [first, second],
             what="both workers have said that they have it")
    assert re.search(re.escape(keys[0]) + ": is known: llama with [0-9]+ parameters", cluster.log())

    row = wait_state(cluster, keys[1], "known")
    assert (row["architecture"], row["tensor_bytes"]) == ("LlamaForCausalLM", bytes_of_llama)

    row = wait_state(cluster, keys[2], "unreadable")
    assert re.match("worker (first|second): .*doesn't begin with GGUF|.*no model", row["message"])
    wait_for(lambda: metadata(cluster, keys[2])["present_on"] == [first, second],
             what="it is there all the same")

    wait_for(lambda: metadata(cluster, keys[3])["absent_on"] == [first, second],
             what="neither has the other")
    row = wait_state(cluster, keys[3], "missing")
    assert row["message"] == "not on any of the workers that were asked"


def test_what_is_known_outlives_control(make_cluster, tmp_path):
    cluster = make_cluster().start()
    path = tmp_path / "moe.gguf"
    gguf_models.write_model(path, gguf_models.SHAPES["moe"])
    key = add_local(cluster, "m", path)
    before = wait_state(cluster, key, "known")
    cluster.kill("control")
    wait_for(lambda: metadata(cluster, key) == before, what="it is as it was before the restart")


# --- hubs ----------------------------------------------------------------------------------------


class Hub(http.server.BaseHTTPRequestHandler):
    """Repositories of one file each, by ranges; what isn't there is 404."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        found = re.match("/api/models/(.*)/tree/main|/(.*)/resolve/main/model.gguf", self.path)
        content = self.server.repositories.get(found and (found[1] or found[2]))
        if content is None:
            self.reply(404)
        elif found[1]:
            files = [{"type": "file", "path": "model.gguf", "size": len(content)}]
            self.reply(200, json.dumps(files).encode())
        else:
            first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)",
                                                self.headers["Range"]).groups())
            part = content[first:last + 1]
            self.reply(206, part,
                       Content_Range=f"bytes {first}-{first + len(part) - 1}/{len(content)}")


class StubHub(http.server.ThreadingHTTPServer):
    """Has an address from the start; answers after serve()."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Hub, bind_and_activate=False)
        self.repositories = {"acme/tiny": content, "acme/text": b"no model"}
        self.server_bind()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def serve(self):
        self.server_activate()
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def hub(demo_model):
    server = StubHub(demo_model.read_bytes())
    yield server
    server.server_close()


def test_models_of_a_hub(make_cluster, hub):
    hub.serve()
    cluster = make_cluster(args=["--disable-worker"], env={"HF_ENDPOINT": hub.url}).start()
    for name in ("tiny", "text", "none"):
        add(cluster, name, source="huggingface", huggingface_repo_id=f"acme/{name}")
    row = wait_state(cluster, "hf:acme/tiny", "known")
    assert row["architecture"] == "llama" and not row["is_local"] and row["present_on"] == []
    assert "doesn't begin with GGUF" in wait_state(cluster, "hf:acme/text", "unreadable")["message"]
    assert "doesn't exist" in wait_state(cluster, "hf:acme/none", "missing")["message"]
    hub.shutdown()


def test_a_hub_that_is_down(make_cluster, hub):
    cluster = make_cluster(args=["--disable-worker"], env={"HF_ENDPOINT": hub.url}).start()
    add(cluster, "tiny", source="huggingface", huggingface_repo_id="acme/tiny",
        huggingface_filename="*.gguf")
    key = "hf:acme/tiny/*.gguf"
    assert wait_state(cluster, key, "unreachable")["message"]
    hub.serve()
    assert wait_state(cluster, key, "known", RETRIED)["architecture"] == "llama"
    hub.shutdown()
    cluster.kill("control")
    wait_state(cluster, key, "known")  # from the store, with the hub gone


def test_control_ends_while_a_hub_is_silent(make_cluster, hub):
    """Connections are taken and never answered."""
    hub.server_activate()
    cluster = make_cluster(args=["--disable-worker"], env={"HF_ENDPOINT": hub.url}).start()
    for name in "abcdef":
        add(cluster, name, source="huggingface", huggingface_repo_id=f"acme/{name}")
    hub.accept = hub.socket.accept()
    assert cluster.stop_manager(timeout=10) == 0
    os.close(hub.accept[0].detach())
