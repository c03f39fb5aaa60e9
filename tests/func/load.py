# SPDX-License-Identifier: Apache-2.0
"""What goes on while something fails: requests, long streams, reads and writes of the API."""

import collections
import json
import threading
import time

from harness import Stream, wait_for

Request = collections.namedtuple("Request", "model begin end fault")


class Load:
    """Streamed requests for some models, one after the other per model, until it is left."""

    def __init__(self, cluster, *models, pause=0.1):
        self.user, self.models, self.pause = cluster.user(), set(models), pause
        self.requests = []         # all that ended
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=[model], daemon=True)
                        for model in models]

    def run(self, model):
        while not self.ending.wait(self.pause):
            begin = time.monotonic()
            try:
                fault = self.ask(model)
            except ConnectionRefusedError:
                continue # it was never taken
            except Exception as error:  # told by the test
                fault = repr(error)
            self.requests.append(Request(model, begin, time.monotonic(), fault))

    def ask(self, model):
        """What is wrong with the answer; None when nothing is."""
        body = {"model": model, "messages": [{"role": "user", "content": "Go"}], "stream": True,
                "max_tokens": 40}
        events = list(self.user.events("/v1/chat/completions", body))
        if events[-1:] != ["[DONE]"]:
            return f"ended with {events[-1:]}"
        reason = json.loads(events[-2])["choices"][0]["finish_reason"]
        return None if reason in ("stop", "length") else f"finish_reason is {reason}"

    def wait_more(self, count=2):
        """Until so many requests more have been answered well for each model."""
        for thread in self.threads:
            assert thread.is_alive()
        seen = len(self.requests)

        def more():
            good = collections.Counter(request.model for request in self.requests[seen:]
                                       if not request.fault)
            return len(good) == len(self.models) and min(good.values()) >= count

        wait_for(more, 30, f"{count} more answers for each model", pause=0.05)

    def faults(self):
        return [request for request in self.requests if request.fault]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a request hangs"


class SlowStream(Stream):
    """A stream whose client takes its time, until hurry(): it lasts as long as a fault."""

    def __init__(self, *args, **fields):
        self.in_a_hurry = threading.Event()
        super().__init__(*args, **fields)

    def lines(self):
        for line in super().lines():
            yield line
            self.in_a_hurry.wait(0.01)

    def hurry(self):
        self.in_a_hurry.set()


class Reader(threading.Thread):
    """Reads lists, one after the other, and notes how long each took."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.admin, self.ending = cluster.admin, threading.Event()
        self.took, self.fault = [], None

    def run(self):
        try:
            while not self.ending.wait(0.1):
                for path in ("/v2/models", "/v2/model-instances", "/v2/workers"):
                    begin = time.monotonic()
                    self.admin.get(path, timeout=10).expect(200)
                    self.took.append(time.monotonic() - begin)
        except Exception as error:  # told by the test
            self.fault = error

    def stop(self):
        self.ending.set()
        self.join(30)
        assert self.fault is None, self.fault


class ModelWriter(threading.Thread):
    """Makes models with an instance that fits nowhere, changes and deletes some; notes what was
    acknowledged and when."""

    def __init__(self, cluster, prefix):
        super().__init__(daemon=True)
        self.admin, self.prefix = cluster.admin, prefix
        self.admin.timeout = 150
        self.there = {}            # name -> description
        self.gone, self.refused = set(), set()
        self.acknowledged = []     # times
        self.ending = threading.Event()
        self.fault = None

    def run(self):
        numbers = iter(range(1000000))
        try:
            while not self.ending.wait(0.02):
                self.write(f"{self.prefix}-{next(numbers)}")
        except Exception as error:  # told by the test
            self.fault = error

    def send(self, method, path, body=None):
        reply = self.admin.request(method, path, body)
        if reply.status == 503:
            assert reply.json()["reason"] and reply.json()["message"]
            return None
        answer = reply.expect(200)
        self.acknowledged.append(time.monotonic())
        return answer or True

    def write(self, name):
        model = self.send("POST", "/v2/models", {
            "name": name, "source": "local_path", "local_path": "/x.gguf", "replicas": 1,
            "worker_selector": {"zone": "nowhere"}})
        if not model:
            self.refused.add(name)
            return
        self.there[name] = None
        path = f"/v2/models/{model['id']}"
        if self.send("PUT", path, {"description": name}):
            self.there[name] = name
        if model["id"] % 3 == 0 and self.send("DELETE", path):
            del self.there[name]
            self.gone.add(name)

    def stop(self):
        self.ending.set()
        self.join(150)
        assert not self.is_alive(), "a write hangs"
        assert self.fault is None, self.fault
