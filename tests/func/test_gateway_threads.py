# SPDX-License-Identifier: Apache-2.0
"""All that happens in a gateway at once, on four threads: requests of all kinds, aborts, limits,
snapshots one after the other, engines that are killed, control that goes and comes back, /metrics,
logs that are opened anew. ./check tsan and asan run it with a gateway of theirs (GPUSTACK_BINARY):
a sanitizer's report fails the test. GPUSTACK_LOAD=N makes it so many requests."""

import collections
import os
import random
import signal
import threading

import pytest

import scripted
from harness import wait_for
from mixed_load import Mix, MixedLoad

REQUESTS = int(os.environ.get("GPUSTACK_LOAD", "2000"))
MODELS = {"one": 50, "two": 51, "gone": 52}
USERS = [60, 61]
PAUSE = 0.004                  # between two changes
REPORTS = ("Sanitizer", "runtime error:", "Assertion")


class Disturber(threading.Thread):
    """Changes everything but what requests need to be served at all, until it is told to stop."""

    def __init__(self, gateway, key_ids, log):
        super().__init__(daemon=True)
        self.gateway, self.key_ids, self.log = gateway, key_ids, log
        self.random = random.Random(4)
        self.ending = threading.Event()
        self.counts = collections.Counter()
        self.error = None

    def run(self):
        steps = [self.change_limits] * 6 + [self.change_spending] * 3 + [
            self.change_endpoints, self.change_routes, self.change_keys, self.kill_engine,
            self.read_pages, self.read_pages, self.reopen_log, self.reset_feed]
        try:
            while not self.ending.wait(PAUSE):
                step = self.random.choice(steps)
                step()
                self.counts[step.__name__] += 1
        except Exception as error:  # told by stop()
            self.error = error

    def stop(self):
        self.ending.set()
        self.join(60)
        assert not self.is_alive()
        if self.error:
            raise self.error

    def change_limits(self):
        kind, identity = self.random.choice(
            [("user", USERS[0]), ("key", self.key_ids[0]), ("model", MODELS["one"])])
        values = self.gateway.control.objects[kind][identity]
        limits = {"requests_per_minute": self.random.choice([0, 5000, 100000]),
                  "tokens_per_minute": self.random.choice([0, 10 ** 6, 10 ** 8]),
                  "concurrent_requests": self.random.choice([0, 4, 100]),
                  "token_budget": self.random.choice([0, 10 ** 6, 10 ** 9]),
                  "budget_period": self.random.choice(["hour", "day", "never"])}
        self.gateway.put(kind, sync=False, **{**values, **limits})

    def change_spending(self):
        kind, identity = self.random.choice([("user", USERS[0]), ("key", self.key_ids[0])])
        self.gateway.put("spending", sync=False, id=identity, subject=kind, period_start_ms=0,
                         tokens=self.random.randrange(1000), gateway="another", applied=1)

    def change_endpoints(self):
        endpoint = self.gateway.add_endpoint(1, "gone")
        self.gateway.control.delete("endpoint", endpoint)

    def change_routes(self):
        targets = [{"model_id": MODELS[name], "weight": self.random.randint(1, 9)}
                   for name in self.random.sample(list(MODELS), 2)]
        self.gateway.put("route", sync=False, id=70, name="front", targets=targets,
                         fallback_model_id=MODELS["two"])

    def change_keys(self):
        self.gateway.add_key(id=80, user_id=USERS[1])
        self.gateway.control.delete("key", 80)

    def kill_engine(self):
        engine = self.random.choice(self.gateway.engines[1:])
        engine.kill()
        engine.start()

    def read_pages(self):
        for path in ("/metrics", "/v1/models", "/healthz", "/nowhere"):
            self.gateway.client().get(path)

    def reopen_log(self):
        if self.log.exists():
            self.log.rename(self.log.with_suffix(f".{self.counts['reopen_log']}"))
        self.gateway.process.send_signal(signal.SIGHUP)

    def reset_feed(self):
        self.gateway.control.stop()
        wait_for(lambda: self.gateway.http().get("/readyz").status == 503, what="control is missed")
        self.gateway.control.start()
        wait_for(self.gateway.is_ready, what="control is followed")


@pytest.fixture
def gateway(gpustack_binary, tmp_path):
    made = scripted.ScriptedGateway(gpustack_binary, tmp_path, threads=4, args=[
        "--access-log", str(tmp_path / "access.log"), "--queue-timeout", "5"])
    for name, identity in MODELS.items():
        made.put("model", id=identity, name=name)
    for identity in USERS:
        made.put("user", id=identity)
    made.put("route", id=70, name="front", targets=[{"model_id": MODELS["one"], "weight": 1}])
    for model in ("one", "one", "two"):
        made.add_engine("chunks=8", model=model)
    yield made
    made.stop()


def test_everything_at_once(gateway, tmp_path):
    gateway.start()
    keys = [gateway.add_key(id=identity, user_id=user) for identity, user in
            ((90, USERS[0]), (91, USERS[0]), (92, USERS[1]))]
    mix = Mix(9, ["one", "two", "front"], keys)
    load = MixedLoad(gateway.port, mix, REQUESTS).start()
    disturber = Disturber(gateway, [90, 91], tmp_path / "access.log")
    disturber.start()
    try:
        seen = load.join()
        disturber.stop()
        check_nothing_is_held(gateway, keys)
        status = gateway.stop_process()
    finally:
        disturber.ending.set()
        assert not reports(gateway.log())  # says more than what it has led to
    assert status == 0
    records = gateway.control.records
    assert len({record["request_id"] for record in records}) == len(records)
    done = [one for one in seen if one.end == "done"]
    assert {one.request.identity for one in done} <= {record["request_id"] for record in records}
    statuses = collections.Counter(one.status for one in done)
    assert statuses[200] > len(seen) / 3, statuses
    print(dict(statuses), dict(disturber.counts))


def reports(log):
    """The first lines that a sanitizer has written, if any."""
    lines = log.splitlines()
    found = [number for number, line in enumerate(lines) if any(word in line for word in REPORTS)]
    return "\n".join(lines[found[0]:found[0] + 60]) if found else ""


def check_nothing_is_held(gateway, keys):
    """All requests are over: with one concurrent request for each of them one passes."""
    wait_for(lambda: "gpustack_gateway_requests_in_flight 0\n" in gateway.http().get(
        "/metrics").text, what="no request is under way")
    free = {**scripted.NO_LIMITS, "concurrent_requests": 1}
    for kind, identities in (("user", USERS), ("key", [90, 91, 92]), ("model", MODELS.values())):
        for identity in identities:
            gateway.put(kind, sync=False,
                        **{**gateway.control.objects[kind][identity], **free})
    gateway.sync()
    for key in keys:
        wait_for(lambda: gateway.post(key=key, model="two").status == 200,
                 what="each may have one request")
