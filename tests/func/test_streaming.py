# SPDX-License-Identifier: Apache-2.0
"""Streams: token by token to the client, and the engine hears when the client is gone."""

import json

import pytest

from harness import Http, Stream, connections_to, engine_token, wait_for


@pytest.fixture(scope="module")
def endless(serving, endless_model):
    serving.deploy("endless", endless_model)
    return "endless"


@pytest.fixture(scope="module")
def engine(serving, endless):
    """Requests to the engine of the endless model itself."""
    instance = serving.instances(endless)[0]
    return Http("127.0.0.1", instance["port"], engine_token(instance["pid"]))


def busy_slots(engine):
    """How many requests the engine works on, by its own metrics."""
    for line in engine.get("/metrics").expect(200).splitlines():
        if line.startswith("llamacpp:requests_processing "):
            return int(float(line.split()[1]))
    raise ValueError("no requests_processing among the engine's metrics")


def test_first_token_comes_long_before_the_last(serving, endless, engine):
    body = {"model": endless, "messages": [{"role": "user", "content": "Go"}], "stream": True}
    events = serving.user().events("/v1/chat/completions", body)
    text = ""
    while len(text) < 100:
        choice = json.loads(next(events))["choices"][0]
        assert choice["finish_reason"] is None
        text += choice["delta"].get("content") or ""
    assert busy_slots(engine) == 1, "the engine still speaks"
    events.close()
    assert "round and back again" in text


def test_client_gone_closes_the_connection_to_the_engine(serving, endless, engine):
    wait_for(lambda: busy_slots(engine) == 0, what="the engine is idle")
    gateway = serving.pid("gateway")
    with Stream(serving.user(), endless) as stream:
        wait_for(lambda: stream.count > 5, what="the stream runs")
        during = connections_to(engine.port, gateway)
        assert during
    wait_for(lambda: during - connections_to(engine.port, gateway), what="a connection is closed")
    wait_for(lambda: busy_slots(engine) == 0, what="the engine has stopped speaking")


def test_client_gone_before_the_answer_closes_the_connection_to_the_engine(serving, endless,
                                                                           engine):
    body = {"model": endless, "messages": [{"role": "user", "content": "Go"}], "max_tokens": 100000}
    client, gateway = serving.user(), serving.pid("gateway")
    wait_for(lambda: not connections_to(engine.port, gateway), what="no streams are left")
    connection = client.connect(30)
    connection.request("POST", "/v1/chat/completions", json.dumps(body),
                       {**client.headers, "Content-Type": "application/json"})
    wait_for(lambda: busy_slots(engine) == 1, what="the engine works")
    assert connections_to(engine.port, gateway)
    connection.close()
    # The engine's metrics are not asked here: llama-server looks for a closed connection only
    # after a second in which no request of anybody was answered.
    wait_for(lambda: not connections_to(engine.port, gateway), what="it is closed")


def test_engine_that_dies_in_a_stream_is_an_error_event(make_cluster, endless_model):
    cluster = make_cluster().start()
    cluster.deploy("endless", endless_model, restart_on_error=False)
    with Stream(cluster.user(), "endless") as stream:
        wait_for(lambda: stream.count > 5, what="the stream runs")
        cluster.kill_engine("endless")
        stream.join(10)
        assert not stream.is_alive() and stream.error is None, "the stream ends in order"
        assert json.loads(stream.events[-1])["error"]["code"] == "engine_failed"


def test_many_streams_at_once_end_normally(serving, endless):
    streams = [Stream(serving.user(), endless, max_tokens=50) for _ in range(16)]
    try:
        for stream in streams:
            stream.join(30)
            assert stream.ended_normally(), (stream.error, stream.events)
            assert stream.count > 50
    finally:
        for stream in streams:
            stream.close()
