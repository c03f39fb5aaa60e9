# SPDX-License-Identifier: Apache-2.0
"""Clients that leave, in each phase of a request and at each chunk of a stream.

The engine's connection is closed, counts and reservations go back, and the record says when it was
and holds what the client got. Each test prints how long after the client the engine heard of it
(pytest -rP).
"""

import itertools
import re
import socket
import statistics
import time

import pytest

from cases import CHAT, GUESS, MESSAGES, Case, CaseBench, check_record, each
from harness import wait_for
from raw_http import RawClient

BUDGET = 10_000_000


@pytest.fixture(scope="module")
def bench(gpustack_binary, tmp_path_factory):
    made = CaseBench(gpustack_binary, tmp_path_factory.mktemp("aborts"), queue_timeout=30)
    deaf = Deaf()
    made.gw.add_endpoint(deaf.port, "deaf")
    yield made
    made.stop()
    deaf.close()


class Deaf:
    """A port at which connections are neither made nor refused: its queue of them is full."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self.listener.getsockname()[1]
        self.first = RawClient(self.port)

    def close(self):
        self.first.close()
        self.listener.close()


def leave(client, by):
    """Returns the time at which it did."""
    left_ns = time.monotonic_ns()
    if by == "rst":
        client.reset()
    else:
        client.close()
    return left_ns


# --- phases --------------------------------------------------------------------------------------


def case_of(phase, name, script="", *args, **members):
    """A request that its client leaves in this phase. `text`: events that it waits for before."""
    record = {"aborted_phase": phase, **members.pop("record", {})}
    members = {"outcome": "aborted", "status": 0, "tokens": (GUESS, 0, 0), "is_estimated": True,
               **members}
    return Case(name, script, *args, record=record, **members)


UNASKED = {"asked": 0, "tokens": (0, 0, 0), "is_estimated": False}
BEGUN = {"status": 200}
PHASES = [
    case_of("queued", "queued", model="none", record={"attempts": 0}, **UNASKED),
    case_of("queued", "queued-stream", model="none", stream=True, record={"attempts": 0},
            **UNASKED),
    case_of("connecting", "connecting", model="deaf", **UNASKED),
    case_of("waiting", "waiting", "stall=head:0"),
    case_of("waiting", "waiting-in-head", "stall=head:20"),
    case_of("waiting", "waiting-stream", "stall=head:0", stream=True),
    case_of("waiting", "waiting-for-messages", "stall=head:0", MESSAGES, "native"),
    case_of("waiting", "waiting-with-an-unread-body", "read=0",
            fields={"messages": [{"role": "user", "content": "Go on. " * 700_000}]}),
    case_of("streaming", "streaming-before-the-first", "stall=chunk:0", stream=True, text=0,
            **BEGUN),
    case_of("streaming", "streaming", "stall=chunk:3", stream=True, text=3, tokens=(GUESS, 0, 3),
            **BEGUN),
    case_of("streaming", "streaming-messages", "stall=chunk:3", MESSAGES, "native", stream=True,
            text=3, tokens=(10, 0, 3), **BEGUN),
    case_of("streaming", "streaming-translated", "stall=chunk:3", MESSAGES, stream=True, text=3,
            tokens=(GUESS, 0, 3), **BEGUN),
    case_of("streaming", "streaming-told-each", "stall=chunk:3 usage=each prompt=7", stream=True,
            text=3, tokens=(7, 0, 3), is_estimated=False, **BEGUN),
    case_of("streaming", "streaming-own", "stall=chunk:3 stream=1", "/model/proxy/m" + CHAT,
            text=3, body=b"{}", tokens=(0, 0, 3), **BEGUN),
    case_of("body", "body", "stall=body:10", text=0, **BEGUN),
    case_of("body", "body-of-speech", "stall=body:200000 size=300000", "/v1/audio/speech",
            text=0, tokens=(0, 0, 0), is_estimated=False, **BEGUN),
    case_of("body", "body-translated", "stall=body:10", MESSAGES, **BEGUN),
]


def wait_phase(bench, engine, client, case):
    """Until the request is where it shall be left, as far as it can be seen from outside."""
    if case.text is not None:
        client.head()
        events = client.events() if case.record["aborted_phase"] == "streaming" else iter(())
        seen = 0
        while seen < case.text:
            seen += '"0' in next(events)        # content; other events have none
    elif case.asked:
        engine.wait_log(lambda one: one["headers"].get("x-request-id") == case.name)
    elif case.model == "deaf":
        wait_for(lambda: any(value and name.startswith("instance_requests")
                             for name, value in bench.metrics().items()), 10, "it connects")
    else:
        wait_for(lambda: bench.metrics()["queue_depth"] == 1, 10, "it is queued")


@pytest.mark.parametrize("by", ("fin", "rst"))
@each(PHASES)
def test_a_client_leaves(bench, case, by):
    engine = bench.native if case.model == "native" else bench.engine
    engine.reset()
    client = bench.connect()
    bench.send(client, case)
    wait_phase(bench, engine, client, case)
    left_ns = leave(client, by)
    seen = bench.left(case, client)
    bench.check_nothing_is_left()
    check_record(seen)
    if case.asked:
        entry = engine.wait_log(lambda one: one["headers"].get("x-request-id") == case.name and
                                one["end"] != "open")
        assert entry["end"] == "client", entry
        assert entry["ended_ns"] > left_ns
        print(f"closed after {(entry['ended_ns'] - left_ns) / 1e6:.3f} ms")


@pytest.mark.parametrize("by", ("fin", "rst"))
def test_a_client_leaves_with_its_body_on_the_way(bench, by):
    body, headers = Case(f"reading-{by}").request()
    with bench.connect() as client:
        client.ask("POST", CHAT, None, Content_Length=len(body) + 1, **headers,
                   Authorization=f"Bearer {bench.gw.key}")
        client.send(body)
        wait_for(lambda: bench.metrics()["requests_in_flight"] == 1, 10, "it is being read")
        leave(client, by)
    record = bench.record(f"reading-{by}")
    bench.check_nothing_is_left()
    assert (record["outcome"], record["aborted_phase"]) == ("aborted", "reading")
    assert record["prompt_tokens"] == record["completion_tokens"] == record["attempts"] == 0


def test_half_a_connection_is_as_none(bench):
    case = Case("half-closed", "stall=chunk:1", stream=True)
    with bench.connect() as client:
        bench.send(client, case)
        client.until(b"0000")
        client.half_close()
        client.rest()
    assert bench.record("half-closed")["outcome"] == "aborted"
    bench.check_nothing_is_left()
    bench.engine.wait_idle()


@pytest.mark.parametrize("by", ("fin", "rst"))
def test_a_client_that_reads_nothing_leaves(bench, by):
    """The engine is held back by then: the end is seen all the same."""
    engine, case = bench.engine, Case(f"unread-{by}", "chunks=1000000 bytes=1000", stream=True)
    engine.reset()
    client = RawClient(bench.gw.port, receive_buffer=4096)
    bench.send(client, case)
    sent = [-1]

    def is_held_back():
        sent.append(sum(one["events"] for one in engine.log()))
        return sent[-1] == sent[-2] > 0
    wait_for(is_held_back, 20, "the engine is held back", pause=0.05)
    leave(client, by)
    record = bench.record(case.name)
    bench.check_nothing_is_left()
    assert (record["outcome"], record["aborted_phase"]) == ("aborted", "streaming")
    assert 0 < record["completion_tokens"] <= sent[-1]
    assert engine.wait_log(lambda one: one["end"] != "open")["end"] == "client"


def test_of_those_who_wait_one_leaves(bench):
    """The others are served, in the order in which they came."""
    key = bench.gw.add_key(user_id=bench.gw.put("user", username="many"))
    names = [f"waits-{i}" for i in range(5)]
    clients = []
    for i, name in enumerate(names):
        clients.append(bench.connect())
        body, headers = Case(name, "chunks=1", model="late").request()
        if i == 0:
            model_id = bench.gw.put("model", name="late")
        clients[i].ask("POST", CHAT, body, key, **headers)
        wait_for(lambda i=i: bench.metrics()["queue_depth"] == i + 1, 10, f"{name} waits")
    leave(clients.pop(2), "fin")
    assert bench.record("waits-2")["aborted_phase"] == "queued"
    assert bench.metrics()["queue_depth"] == 4
    bench.engine.reset()
    endpoint = bench.gw.add_endpoint(bench.engine.port, "late")
    for client in clients:
        assert client.head()[0] == 200
        client.close()
    asked = [one["headers"]["x-request-id"] for one in bench.engine.log()]
    assert asked == [name for name in names if name != "waits-2"]
    for name in asked:
        assert bench.record(name)["outcome"] == "ok"
    bench.check_nothing_is_left()
    bench.gw.delete("endpoint", endpoint)
    bench.gw.delete("model", model_id)


# --- each chunk ----------------------------------------------------------------------------------


class Budget:
    """A key of its own user with a token budget, and what is left of it."""

    def __init__(self, bench):
        self.bench = bench
        user = bench.gw.put("user", username="budget")
        self.key = bench.gw.add_key(user_id=user, token_budget=BUDGET, budget_period="never",
                                    concurrent_requests=1)

    def left(self):
        """As the refusal of a request for nearly all of it tells it."""
        reply = self.bench.gw.post(key=self.key, max_tokens=BUDGET - 500)
        assert reply.status == 429, reply.text
        return int(re.search(r"(\d+) are left", reply.text)[1])


def relayed(data):
    """Content events in what a client has got."""
    return data.count(b'"content":"')


@pytest.mark.parametrize("script", ("stall=chunk:{}", "delay_ms=0.3"), ids=("stalled", "running"))
def test_a_client_leaves_at_each_chunk(bench, script):
    """All that the request had reserved goes back but for what the client has got."""
    budget, engine = Budget(bench), bench.engine
    engine.reset()
    # The refusal that tells what is left needs a budget of which something is gone.
    used = bench.gw.post(key=budget.key, script="prompt=1000").expect(200)["usage"]["total_tokens"]
    after_ms = []
    for chunk, by in itertools.product(range(41), ("fin", "rst")):
        name = f"at-{script[0]}-{chunk}-{by}"
        body, headers = Case(name, f"chunks=40 {script.format(chunk)}", stream=True).request()
        client = bench.connect()
        client.ask("POST", CHAT, body, budget.key, **headers)
        client.head()
        while relayed(client.data) < chunk:
            assert client.more(), name
        left_ns = leave(client, by)
        record = bench.record(name)
        used += record["prompt_tokens"] + record["completion_tokens"]
        assert record["completion_tokens"] >= relayed(client.data), name
        assert record["prompt_tokens"] > 0, name
        assert BUDGET - budget.left() == used, name
        if script.startswith("stall"):
            assert (record["outcome"], record["completion_tokens"]) == ("aborted", chunk), name
            entry = engine.wait_log(lambda one, name=name: one["end"] != "open" and
                                    one["headers"].get("x-request-id") == name)
            after_ms.append((entry["ended_ns"] - left_ns) / 1e6)
    bench.check_nothing_is_left()
    engine.wait_idle()
    if after_ms:
        print(f"closed after {statistics.median(after_ms):.3f} ms, at most {max(after_ms):.3f}")
