# SPDX-License-Identifier: Apache-2.0
"""Several instances of which some fail: who is asked, who is left out, and who comes back."""

import collections
import concurrent.futures

import pytest

from cases import CHAT, MESSAGE, MESSAGES
from harness import wait_for
from raw_http import RawClient
from scripted import ScriptedGateway

FIRST_BYTE_MS = 60
ROW = 5                     # failures in a row after which an instance is left out


class Balanced:
    """A gateway with models of several engines: instances("name") are those of a model."""

    def __init__(self, binary, folder):
        self.gw = ScriptedGateway(binary, folder, args=["--queue-timeout", "10"])
        self.engines = {}
        self.gw.start()

    def add_model(self, name, count, **members):
        self.gw.put("model", name=name, **members)
        self.engines[name] = [self.gw.add_engine("chunks=1", model=name) for _ in range(count)]
        return self.engines[name]

    def gauge(self, family, model):
        """Values of a gauge by instance, in the order of the model's engines."""
        found = {}
        for line in self.gw.http().get("/metrics").expect(200).splitlines():
            for engine in self.engines[model]:
                if line.startswith(f'gpustack_gateway_{family}{{model="{model}",'
                                   f'instance="{model}-{engine.port}"}}'):
                    found[engine.port] = int(line.split()[-1])
        return [found[engine.port] for engine in self.engines[model]]

    def breakers(self, model):
        """0 is asked, 1 by one request as a probe, 2 isn't."""
        return self.gauge("breaker_state", model)

    def counter(self, name):
        for line in self.gw.http().get("/metrics").expect(200).splitlines():
            if line.startswith(f"gpustack_gateway_{name} "):
                return int(line.split()[-1])
        raise KeyError(name)

    def post(self, model, script="", **headers):
        body = {"model": model, "messages": MESSAGE}
        headers |= {"X-Script": script} if script else {}
        return self.gw.client().post(CHAT, body, headers=headers)

    def statuses(self, model, count):
        return collections.Counter(self.post(model).status for _ in range(count))

    def shares(self, model, count):
        """How many of so many requests each engine is asked for; all are served."""
        before = [asked(engine) for engine in self.engines[model]]
        assert self.statuses(model, count) == {200: count}
        return [asked(engine) - was for engine, was in zip(self.engines[model], before)]

    def hold(self, model):
        """A client of a stream that stays, and the engine that has it."""
        before = [asked(engine) for engine in self.engines[model]]
        client = RawClient(self.gw.port)
        client.ask("POST", CHAT, {"model": model, "messages": MESSAGE, "stream": True},
                   self.gw.key, X_Script="stall=chunk:1 chunks=2")
        assert client.head()[0] == 200
        held = [engine for engine, was in zip(self.engines[model], before) if asked(engine) > was]
        assert len(held) == 1
        return client, held[0]


def asked(engine):
    return engine.totals()["requests"] if engine.process else 0


@pytest.fixture(scope="module")
def bench(gpustack_binary, tmp_path_factory):
    made = Balanced(gpustack_binary, tmp_path_factory.mktemp("breaker"))
    yield made
    status = made.gw.stop_process()
    made.gw.stop()
    assert status == 0, made.gw.log()[-2000:]


# --- shares --------------------------------------------------------------------------------------


def test_equal_instances_get_equal_shares(bench):
    """Also of a model between whose requests another one's come."""
    bench.add_model("even", 3)
    bench.add_model("between", 2)
    assert bench.shares("even", 30) == [10, 10, 10]
    before = [asked(engine) for model in ("even", "between") for engine in bench.engines[model]]
    for _ in range(12):
        for model in ("even", "between"):
            assert bench.post(model).status == 200
    after = [asked(engine) for model in ("even", "between") for engine in bench.engines[model]]
    assert [now - was for now, was in zip(after, before)] == [4, 4, 4, 6, 6]


def test_requests_under_way_are_spread_evenly(bench):
    bench.add_model("busy", 3)
    held = [bench.hold("busy") for _ in range(12)]
    assert bench.gauge("instance_requests", "busy") == [4, 4, 4]
    # Who has fewer gets the next one, whoever's turn it is.
    quiet = held[0][1]
    for client, engine in held:
        if engine is quiet:
            client.close()
    wait_for(lambda: sorted(bench.gauge("instance_requests", "busy")) == [0, 4, 4], 5,
             "its streams have ended")
    more = [bench.hold("busy") for _ in range(4)]
    assert all(engine is quiet for _, engine in more)
    for client, _ in held + more:
        client.close()
    wait_for(lambda: bench.gauge("instance_requests", "busy") == [0, 0, 0], 5, "all have ended")


# --- another instance ----------------------------------------------------------------------------

ELSEWHERE = {
    "status=502": (200, 2), "status=503 retry_after=9": (200, 2), "status=504": (200, 2),
    "status=500": (500, 1), "status=429": (429, 1), "cut=head:0": (502, 1),
    "cut=head:0 by=rst": (502, 1), "garbage=50": (502, 1), "cut=body:10": (200, 1),
}



def test_another_instance_is_asked_only_where_none_has_worked(bench):
    pair = bench.add_model("pair", 2)
    client, busy = bench.hold("pair")       # so that it is clear who is asked first
    first = next(engine for engine in pair if engine is not busy)
    for script, (status, attempts) in ELSEWHERE.items():
        first.next("close=say")             # nor is a connection used again
        assert bench.post("pair").status == 200
        before = asked(first), asked(busy)
        first.next(script)
        with RawClient(bench.gw.port) as asking:
            asking.ask("POST", CHAT, {"model": "pair", "messages": MESSAGE}, bench.gw.key,
                       X_Request_Id=script.replace(" ", "-"))
            assert asking.head()[0] == status, script
        assert (asked(first), asked(busy)) == (before[0] + 1, before[1] + attempts - 1), script
    client.close()
    names = {script.replace(" ", "-"): attempts for script, (_, attempts) in ELSEWHERE.items()}

    def told():
        return {one["request_id"]: one["attempts"] for one in bench.gw.control.records
                if one["request_id"] in names}
    wait_for(lambda: told().keys() == names.keys(), 10, "their records are told")
    assert told() == names


def test_three_instances_are_asked_at_most(bench):
    engines = bench.add_model("four", 4)
    for engine in engines:
        engine.set_default("status=503 retry_after=9 error=busy")
    reply = bench.post("four")
    assert (reply.status, reply.headers["retry-after"]) == (503, "9")
    assert reply.json()["error"]["message"] == "busy"
    assert sorted(asked(engine) for engine in engines) == [0, 1, 1, 1]


# --- breakers ------------------------------------------------------------------------------------


def break_refusing(engine):
    engine.kill()


def break_unwell(engine):
    engine.set_default("status=503")


def break_silent(engine):
    engine.set_default("stall=head:0")


FAULTS = {"refusing": break_refusing, "unwell": break_unwell, "silent": break_silent}


def heal(engine):
    if engine.process:
        engine.set_default("status=200 stall=none chunks=1")
    else:
        engine.start()


def left_out(bench, model):
    """Until the model's first engine is left out: what clients have got by then."""
    statuses = collections.Counter()

    def is_left_out():
        statuses.update([bench.post(model).status])
        return bench.breakers(model) == [2, 0, 0]
    wait_for(is_left_out, 10, f"{model}: it is left out", pause=0)
    return statuses


def test_an_instance_that_fails_is_left_out_and_comes_back(bench):
    """All three faults at a time, for coming back takes 5 s."""
    for name in FAULTS:
        bench.add_model(name, 3, first_byte_timeout_ms=FIRST_BYTE_MS if name == "silent" else 0)
    for name, fault in FAULTS.items():
        assert bench.shares(name, 9) == [3, 3, 3], name
        fault(bench.engines[name][0])
    for name in FAULTS:
        statuses = left_out(bench, name)
        # What can be repeated elsewhere is; a request that an engine has taken isn't.
        assert statuses[504] == (ROW if name == "silent" else 0), (name, statuses)
        assert statuses.keys() <= {200, 504}, (name, statuses)
    for name in FAULTS:
        assert bench.shares(name, 20) == [0, 10, 10], name
        heal(bench.engines[name][0])
    for name in FAULTS:
        def is_back(name=name):
            assert bench.post(name).status == 200, name
            return bench.breakers(name) == [0, 0, 0]
        wait_for(is_back, 20, f"{name}: it is back", pause=0.05)
        assert bench.shares(name, 30) == [10, 10, 10], name


@pytest.mark.parametrize("fault", FAULTS)
def test_a_single_instance_is_never_given_up(bench, fault):
    """Nobody waits for its time to come: each request finds out whether it is well again."""
    name = f"single-{fault}"
    engine, = bench.add_model(name, 1, first_byte_timeout_ms=FIRST_BYTE_MS)
    FAULTS[fault](engine)
    status = 504 if fault == "silent" else 503
    assert bench.statuses(name, ROW + 3) == {status: ROW + 3}
    assert bench.breakers(name) == [2]
    heal(engine)
    assert bench.statuses(name, 3) == {200: 3}
    assert bench.breakers(name) == [0]


def test_while_a_single_instance_is_tried_others_wait(bench):
    """One request is the probe; the others are served as soon as it has been answered."""
    engine, = bench.add_model("tried", 1)
    engine.set_default("status=503")
    assert bench.statuses("tried", ROW) == {503: ROW}
    engine.set_default("status=200 head_ms=100")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: bench.post("tried").status, range(8)))
    assert replies == [200] * 8
    probe, *others = engine.log()[-8:]
    assert all(one["started_ns"] > probe["head_ns"] for one in others), "the probe was alone"
    assert bench.counter("queue_depth") == 0


def test_a_refused_translation_says_nothing_of_the_instance(bench):
    """Nor may it close its breaker: it hasn't been asked."""
    engine, = bench.add_model("untold", 1)
    body = {"model": "untold", "max_tokens": 9, "messages": MESSAGE}
    bench.gw.client().post(MESSAGES, body).expect(200)
    engine.set_default("status=503")
    assert bench.statuses("untold", ROW) == {503: ROW}
    before = asked(engine)
    bench.gw.client().post(MESSAGES, {**body, "messages": []}).expect(400)
    assert bench.breakers("untold") == [2]
    assert asked(engine) == before
    engine.set_default("status=200 chunks=1")
    bench.gw.client().post(MESSAGES, body).expect(200)
    assert bench.breakers("untold") == [0]


def test_a_probe_that_leaves_is_given_back(bench):
    engine, = bench.add_model("left", 1)
    engine.set_default("status=503")
    assert bench.statuses("left", ROW) == {503: ROW}
    engine.set_default("status=200 stall=head:0")
    with RawClient(bench.gw.port) as probe:
        probe.ask("POST", CHAT, {"model": "left", "messages": MESSAGE}, bench.gw.key)
        engine.wait_log(lambda one: one["end"] == "open")
        assert bench.breakers("left") == [1]
    wait_for(lambda: bench.breakers("left") == [2], 5, "the probe is given back")
    engine.set_default("stall=none")
    assert bench.statuses("left", 2) == {200: 2}


# --- routes --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(bench):
    """Three models of an engine each, by name."""
    return {name: bench.add_model(name, 1)[0] for name in ("blue", "green", "red")}


def route(bench, name, weights, fallback=None):
    ids = {one["name"]: one["id"] for one in bench.gw.control.objects["model"].values()}
    targets = [{"model_id": ids[model], "weight": weight} for model, weight in weights.items()]
    bench.gw.put("route", name=name, targets=targets, fallback_model_id=ids.get(fallback, 0))


@pytest.mark.parametrize("weights", [(70, 20, 10), (1, 1, 1), (90, 10, 0), (0, 0, 5)], ids=str)
def test_routes_give_each_target_its_share(bench, models, weights):
    route(bench, f"r{weights}", dict(zip(models, weights)))
    before = [asked(engine) for engine in models.values()]
    assert bench.statuses(f"r{weights}", 100) == {200: 100}
    shares = [asked(engine) - was for engine, was in zip(models.values(), before)]
    for share, weight in zip(shares, weights):
        wanted = 100 * weight / sum(weights)
        assert abs(share - wanted) <= 3 and (share > 0) == (weight > 0), shares


def test_routes_fall_back(bench, models):
    """On a 503, and when there is no connection; then the fallback's answer is the client's."""
    route(bench, "falls", {"blue": 100}, fallback="red")
    before = asked(models["red"])
    models["blue"].next("status=503")
    assert bench.post("falls").status == 200
    assert asked(models["red"]) == before + 1
    models["blue"].next("status=500")
    assert bench.post("falls").status == 500
    models["blue"].kill()
    assert bench.statuses("falls", 3) == {200: 3}
    assert asked(models["red"]) == before + 4
    models["red"].kill()
    assert bench.post("falls").json()["error"]["code"] == "engine_unreachable"
    for engine in (models["blue"], models["red"]):
        engine.start()
    assert bench.post("falls").status == 200


def test_routes_without_an_instance_use_the_fallback(bench, models):
    bench.gw.put("model", name="empty")
    route(bench, "empties", {"empty": 100}, fallback="green")
    before = asked(models["green"])
    assert bench.statuses("empties", 3) == {200: 3}
    assert asked(models["green"]) == before + 3
