# SPDX-License-Identifier: Apache-2.0
"""Watching through the gateway: GPUStack's frames and the stream of several topics."""

import json
import queue
import socket
import threading

import pytest

from harness import wait_for


class Watch(threading.Thread):
    """Reads a stream in a thread of its own; blocks() gives what stood between empty lines."""

    def __init__(self, user, path, headers=None):
        super().__init__(daemon=True)
        self.blocks = queue.Queue()
        self.connection, self.response = user.open("GET", path, headers=headers)
        self.type = self.response.getheader("content-type")
        assert self.response.status == 200, self.response.read()
        self.start()

    def run(self):
        block = []
        try:
            for line in self.response:
                line = line.decode().rstrip("\n")
                if line:
                    block.append(line)
                elif block:
                    self.blocks.put(block)
                    block = []
        except (OSError, ValueError, AttributeError):
            pass
        self.blocks.put(None)

    def until(self, accept, timeout=20):
        """The first block that `accept` takes, decoded; None at the end of the stream."""
        while True:
            block = self.blocks.get(timeout=timeout)
            if block is None or accept(self.decode(block)):
                return block and self.decode(block)

    @staticmethod
    def decode(block):
        """A frame's object, or a dict of the fields of a server-sent event."""
        if len(block) == 1 and block[0].startswith("{"):
            return json.loads(block[0])
        fields = dict(line.split(": ", 1) for line in block)
        if "data" in fields:
            fields["data"] = json.loads(fields["data"])
        return fields

    def close(self):
        sock = self.connection.sock or self.response.fp.raw._sock
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass # it has ended
        self.join(10)
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def make_idle_model(serving):
    """Function (name) -> a model without replicas; all are removed afterwards."""
    made = []

    def make(name):
        body = {"name": name, "source": "local_path", "local_path": "/none.gguf", "replicas": 0}
        made.append(serving.user().post("/v2/models", body).expect(200))
        return made[-1]

    yield make
    for model in made:
        serving.user().delete(f"/v2/models/{model['id']}").expect(200, 404)


@pytest.mark.parametrize("path", ["/v2/users", "/v2/api-keys", "/v2/workers", "/v2/models",
                                  "/v2/model-instances", "/v2/model-routes"])
def test_a_watch_begins_with_what_the_list_shows(serving, path):
    user = serving.user()
    rows = {row["id"] for row in user.get(path).expect(200)["items"]}
    with Watch(user, f"{path}?watch=true") as watch:
        assert watch.type == "text/event-stream"
        seen = set()
        while seen != rows:
            frame = watch.until(lambda frame: True)
            assert frame["type"] == 1
            seen.add(frame["data"]["id"])


def test_frames_follow_a_model_through_its_life(serving, make_idle_model):
    user = serving.user()
    with Watch(user, "/v2/models?watch=true&search=watched") as watch:
        model = make_idle_model("watched")
        created = watch.until(lambda frame: True)
        assert created["type"] == 1 and created["data"]["name"] == "watched"
        user.put(f"/v2/models/{model['id']}", {"description": "new"}).expect(200)
        updated = watch.until(lambda frame: True)
        assert updated["type"] == 2 and updated["data"]["description"] == "new"
        user.delete(f"/v2/models/{model['id']}").expect(200)
        deleted = watch.until(lambda frame: True)
        assert deleted["type"] == 3 and deleted["data"]["id"] == model["id"]


def test_the_stream_tells_an_instance_on_its_way(cluster, demo_model):
    with Watch(cluster.user(), "/v2/stream?topics=models,model-instances") as watch:
        assert watch.until(lambda event: True)["data"] == {"reason": "start"}
        watch.until(lambda event: event.get("event") == "ready")
        cluster.deploy("told", demo_model, wait=False)
        states = []

        def runs(event):
            if event.get("event") == "model-instances":
                states.append(event["data"]["row"]["state"])
            return states[-1:] == ["running"]

        watch.until(runs, 30)
        assert states[0] in ("pending", "analyzing", "scheduled")
        watch.until(lambda event: event.get("event") == "models"
                    and event["data"]["row"]["ready_replicas"] == 1)


def test_the_stream_resumes_and_starts_anew_after_a_restart_of_control(cluster):
    user = cluster.user()
    body = {"source": "local_path", "local_path": "/none.gguf", "replicas": 0}
    user.post("/v2/models", {**body, "name": "first"}).expect(200)
    with Watch(user, "/v2/stream?topics=models") as watch:
        ready = watch.until(lambda event: event.get("event") == "ready")
    user.post("/v2/models", {**body, "name": "second"}).expect(200)
    header = {"Last-Event-ID": ready["id"]}
    with Watch(user, "/v2/stream?topics=models", header) as watch:
        assert watch.until(lambda event: True)["event"] == "resume"
        assert watch.until(lambda event: True)["data"]["row"]["name"] == "second"
        assert watch.until(lambda event: True)["event"] == "ready"
        cluster.kill("control")
        assert watch.until(lambda event: False) is None, "the stream ends with control"
    wait_for(lambda: user.get("/v2/models").status == 200, 20, "control is back")
    with Watch(user, "/v2/stream?topics=models", header) as watch:
        assert watch.until(lambda event: True)["data"] == {"reason": "unknown-id"}
        names = set()
        while names != {"first", "second"}:
            names.add(watch.until(lambda event: True)["data"]["row"]["name"])


def test_a_deleted_key_ends_its_stream(serving):
    user = serving.user()
    key = user.post("/v2/api-keys", {"name": "short-lived"}).expect(200)
    watcher = serving.http(key["value"])
    with Watch(watcher, "/v2/stream?topics=models") as watch:
        watch.until(lambda event: event.get("event") == "ready")
        user.delete(f"/v2/api-keys/{key['id']}").expect(200)
        end = watch.until(lambda event: event.get("event") == "error")
        assert end["data"]["code"] == 401
        assert watch.until(lambda event: False) is None


def test_a_watcher_that_leaves_is_forgotten(serving):
    """More streams one after the other than a user may have at once."""
    for _ in range(220):
        with Watch(serving.user(), "/v2/stream?topics=models") as watch:
            watch.until(lambda event: event.get("event") == "ready")
