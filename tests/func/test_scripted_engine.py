# SPDX-License-Identifier: Apache-2.0
"""The scripted engine does what its scripts say: other tests rely on its faults."""

import hashlib
import json
import socket
import time

import pytest

import scripted
from harness import wait_for
from raw_http import RawClient

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def process():
    engine = scripted.ScriptedEngine().start()
    yield engine
    engine.stop()


@pytest.fixture()
def engine(process):
    process.reset()
    return process


@pytest.fixture()
def ask(engine):
    """Function (script, path, **members) -> client that has sent a request."""
    clients = []

    def send(script, path=CHAT, **members):
        client = RawClient(engine.port)
        clients.append(client)
        client.ask("POST", path, {"model": "m", **members}, X_Script=script)
        return client

    yield send
    for client in clients:
        client.close()


def events_of(client):
    return [json.loads(event) if event != "[DONE]" else event for event in client.events()]


def text_of(events):
    return "".join(event["choices"][0]["delta"].get("content", "") for event in events
                   if event != "[DONE]" and event["choices"])


# --- content -------------------------------------------------------------------------------------


def test_a_stream_has_its_events_in_order_and_says_its_end(ask):
    client = ask("chunks=3 bytes=2", stream=True, stream_options={"include_usage": True})
    status, headers = client.head()
    assert status == 200 and headers["content-type"] == "text/event-stream"
    *events, finish, usage, done = events_of(client)
    assert text_of(events) == "000102"
    assert finish["choices"][0]["finish_reason"] == "stop" and "usage" not in finish
    assert usage["choices"] == [] and usage["usage"] == {
        "prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    assert done == "[DONE]"


@pytest.mark.parametrize("script, count", [
    ("chunks=2", 4),            # two, finish, [DONE]: nobody asked for usage
    ("chunks=2 done=0", 3),
    ("chunks=2 finish=0", 3),
    ("chunks=2 usage=always", 5),
])
def test_parts_of_a_stream_may_be_missing(ask, script, count):
    client = ask(script, stream=True)
    client.head()
    assert len(events_of(client)) == count


def test_usage_comes_in_each_shape(ask):
    def stream(shape, path=CHAT, **members):
        client = ask(f"chunks=2 prompt=7 cached=4 usage={shape}", path, **members)
        client.head()
        return client
    each = events_of(stream("each", stream=True))
    assert [event["usage"]["completion_tokens"] for event in each[:2]] == [1, 2]
    nulls = events_of(stream("null", stream=True))
    assert all(event["usage"] is None for event in nulls[:-1])
    assert events_of(stream("finish", stream=True))[2]["usage"]["total_tokens"] == 9
    assert stream("llama").json()["timings"]["predicted_n"] == 2
    assert stream("llama", "/completion").json()["tokens_evaluated"] == 7
    assert stream("vllm").json()["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    assert stream("total", "/v1/rerank").json()["usage"] == {"total_tokens": 7}
    assert stream("cohere", "/v1/rerank").json()["meta"]["billed_units"]["input_tokens"] == 7
    rerank = stream("tei", "/v1/rerank")
    assert "usage" not in rerank.json() and rerank.headers["x-compute-tokens"] == "7"
    assert stream("tei", "/v1/embeddings").json()["usage"]["prompt_tokens"] == 7
    assert "usage" not in stream("none").json()
    assert stream("openai", "/v1/responses").json()["usage"]["output_tokens"] == 2


def test_responses_and_messages_have_typed_events(ask):
    client = ask("chunks=2", "/v1/responses", stream=True)
    client.head()
    events = events_of(client)
    assert [event["type"] for event in events] == [
        "response.created", "response.output_text.delta", "response.output_text.delta",
        "response.completed"]
    assert events[-1]["response"]["usage"]["input_tokens"] == 10
    assert ask("", "/v1/messages").head()[0] == 404
    client = ask("chunks=1 messages=1", "/v1/messages", stream=True)
    client.head()
    assert [event["type"] for event in events_of(client)] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop"]


def test_the_requests_cap_makes_fewer_events(ask):
    client = ask("chunks=50", max_tokens=5)
    client.head()
    body = client.json()
    assert body["usage"]["completion_tokens"] == 5
    assert body["choices"][0]["finish_reason"] == "length"


def test_a_file_is_the_response(ask, tmp_path):
    path = tmp_path / "events"
    path.write_bytes(b"data: one\n\ndata: two\n\n")
    client = ask(f"file={path}", stream=True)
    client.head()
    assert list(client.events()) == ["one", "two"]


def test_a_status_has_its_error_and_retry_after(ask):
    client = ask("status=429 error=slow retry_after=7", stream=True)
    status, headers = client.head()
    assert status == 429 and headers["retry-after"] == "7"
    assert client.json()["error"]["message"] == "slow"


# --- time ----------------------------------------------------------------------------------------


def test_events_are_paced_and_aligned(engine, ask):
    began = time.monotonic()
    client = ask("head_ms=20 first_ms=20 delay_ms=20 chunks=4", stream=True)
    client.head()
    assert len(events_of(client)) == 6
    assert time.monotonic() - began >= 0.1
    # Two streams that begin at different times get their events together.
    streams = [ask("align_ms=50 chunks=2", stream=True) for _ in range(2)]
    for stream in streams:
        stream.head()
        assert len(events_of(stream)) == 4
    ends = [entry["ended_ns"] // 50_000_000 for entry in engine.log()[1:]]
    assert ends[0] == ends[1]


def test_a_trickle_comes_byte_by_byte(ask):
    client = ask("trickle=1 trickle_ms=0.1 chunks=1")
    pieces = 0
    while client.data.count(b"\n") < 2:
        client.more()
        pieces += 1
    assert pieces > 10


@pytest.mark.parametrize("point", ["head", "head:10", "body:20", "chunk:2"])
def test_a_stall_stays_open(engine, ask, point):
    client = ask(f"stall={point} chunks=4", stream=True)
    engine.wait_log(lambda entry: entry["head_ns"])
    if point == "chunk:2":
        client.head()
        stream = client.events()
        assert [json.loads(next(stream))["choices"][0]["delta"]["content"] for _ in range(2)] == [
            "0000", "0001"]
    assert engine.log()[0]["end"] == "open"
    client.close()
    assert engine.wait_log(lambda entry: entry["end"] == "client")


# --- cuts and lies -------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["fin", "rst"])
@pytest.mark.parametrize("point, size", [("head:0", 0), ("head:12", 12)])
def test_a_cut_in_the_head_leaves_that_many_bytes(ask, point, size, by):
    client = ask(f"cut={point} by={by}")
    assert client.rest() == b"HTTP/1.1 200"[:size]
    assert client.ended == by


@pytest.mark.parametrize("by", ["fin", "rst"])
def test_a_cut_in_the_body_leaves_that_many_bytes(engine, ask, by):
    client = ask(f"cut=body:33 by={by}")
    client.head()
    assert len(client.rest()) == 33 and client.ended == by
    entry = engine.wait_log(lambda entry: entry["end"] == "cut")
    client = ask(f"cut=chunk:2 by={by} chunks=9", stream=True)
    client.head()
    assert client.rest().count(b"data: ") == 2 and client.ended == by
    entry = engine.wait_log(lambda entry: entry["number"] == 2 and entry["end"] == "cut")
    assert entry["events"] == 2 and entry["completion_tokens"] == 2


def test_framing_is_as_told(ask):
    client = ask("framing=close chunks=1")
    assert "content-length" not in client.head()[1]
    assert json.loads(client.body()) and client.ended == "fin"
    client = ask("framing=chunked chunks=1")
    assert client.head()[1]["transfer-encoding"] == "chunked" and client.json()
    client = ask("length=10 size=5")
    assert client.head()[1]["content-length"] == "15"
    assert len(client.rest()) == 5 and client.ended == "fin"
    client = ask("length=-2 size=5")
    assert client.head()[1]["content-length"] == "3" and len(client.take(5)) == 5
    client = ask("bad_chunk=1 chunks=3", stream=True)
    client.head()
    assert client.until(b"zz\r\n").count(b"data: ") == 1


def test_what_is_no_http_and_heads_out_of_measure(ask):
    garbage = ask("garbage=500").rest()
    assert len(garbage) == 500 and b"HTTP" not in garbage
    client = ask("interim=2 chunks=1")
    assert [client.head()[0] for _ in range(3)] == [103, 103, 200]
    _, headers = ask("headers=300 header_bytes=70000").head()
    assert headers["x-extra-299"] == "299" and len(headers["x-padding"]) == 70000


def test_an_error_event_ends_the_stream(ask):
    client = ask("error_at=1 chunks=5", stream=True)
    client.head()
    first, error = events_of(client)
    assert first["choices"] and error["error"]["message"] == "scripted"


# --- connections ---------------------------------------------------------------------------------


def test_connections_are_closed_with_and_without_a_word(ask):
    client = ask("close=say")
    assert client.head()[1]["connection"] == "close"
    client.body()
    assert client.rest() == b"" and client.ended == "fin"
    client = ask("close=silent by=rst")
    assert "connection" not in client.head()[1]
    client.body()
    assert client.rest() == b"" and client.ended == "rst"


def test_idle_connections_are_closed_and_others_kept(engine, ask):
    client = ask("chunks=1")
    client.head()
    client.body()
    client.ask("POST", CHAT, {"model": "m"}, X_Script="idle_ms=10 chunks=1")
    client.head()
    client.body()
    assert client.rest() == b"" and client.ended == "fin"
    assert [entry["on_connection"] for entry in engine.log()] == [1, 2]


def test_a_body_that_is_never_read_fills_the_socket(engine):
    with RawClient(engine.port, timeout=0.3) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        with pytest.raises(TimeoutError):
            client.ask("POST", CHAT, bytes(64 << 20), X_Script="read=0")
    with RawClient(engine.port) as client:
        client.ask("POST", CHAT, None, X_Script="read=0 early=1 status=413", Content_Length="99")
        assert client.head()[0] == 413


def test_no_connection_is_taken(engine):
    for how in ("rst", "fin"):
        engine.set_default(f"accept={how}")
        try:
            with RawClient(engine.port) as client:
                assert client.rest() == b"" and client.ended == how
        except ConnectionResetError:
            assert how == "rst"  # it was there before connect() had returned
        engine.kill()
        engine.start()


# --- what it tells -------------------------------------------------------------------------------


def test_the_log_has_what_came(engine):
    body = json.dumps({"model": "m", "stream": False, "script": "chunks=3 prompt=5"}).encode()
    with RawClient(engine.port) as client:
        client.ask("POST", CHAT, body, X_Request_Id="one", X_Script="chunks=4")
        client.head()
        client.body()
        wait_for(lambda: engine.totals()["done"], what="the end of the request")
        entry, = engine.log()
        assert entry["headers"]["x-request-id"] == "one" and entry["body"] == body.decode()
        assert entry["digest"] == hashlib.sha256(body).hexdigest()
        assert entry["body_bytes"] == len(body)
        assert entry["prompt_tokens"] == 5 and entry["completion_tokens"] == 4
        client.ask("POST", CHAT, None, Transfer_Encoding="chunked")
        client.send(b"".join(b"%x\r\n%s\r\n" % (1, body[i:i + 1]) for i in range(len(body))))
        client.send(b"0\r\n\r\n")
        client.head()
    assert engine.log()[1]["digest"] == entry["digest"]
    totals = engine.totals()
    assert totals["requests"] == 2 and totals["prompt_tokens"] == 10
    assert totals["completion_tokens"] == 7


def test_the_log_says_when_a_client_left(engine, ask):
    client = ask("chunks=1000 delay_ms=2", stream=True)
    client.head()
    stream = client.events()
    for _ in range(3):
        next(stream)
    left_ns = time.monotonic_ns()
    client.half_close()
    entry = engine.wait_log(lambda entry: entry["end"] == "client")
    assert 3 <= entry["events"] < 1000 and entry["concurrent"] == 1
    assert entry["ended_ns"] > left_ns > entry["started_ns"]


def test_scripts_go_over_each_other(engine, ask):
    engine.set_default("chunks=2 prompt=3")
    engine.next("status=503", "chunks=4")
    assert ask("status=200").head()[0] == 503
    results = []
    for client in (ask(""), ask(""), ask("chunks=5")):
        client.head()
        results.append(client.json()["usage"]["completion_tokens"])
    assert results == [4, 2, 5]
    client = ask("chunks=many")
    assert client.head()[0] == 400 and b"chunks=many" in client.body()


def test_it_takes_an_engines_arguments():
    engine = scripted.ScriptedEngine(args=["--host", "127.0.0.1", "--model", "/x.gguf", "--alias",
                                           "name", "--metrics", "-ngl", "99"]).start()
    try:
        assert engine.http.get("/v1/models").expect(200)["data"][0]["id"] == "name"
        assert engine.http.get("/health").status == 200
        assert "requests_running 0" in engine.http.get("/metrics").text
        assert engine.http.post("/v1/other", {}).status == 404
    finally:
        engine.stop()
