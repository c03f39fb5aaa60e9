# SPDX-License-Identifier: Apache-2.0
"""What engines answer, and what becomes of it: the answer, the usage record, all counts.

cases.py says what is looked at in each case. Requests out of the ordinary are in
test_gateway_requests.py.
"""

import json

import pytest

from cases import CHAT, COMPLETIONS, COUNT, GUESS, MESSAGES, RESPONSES, Case, CaseBench, each
from harness import wait_for


@pytest.fixture(scope="module")
def bench(gpustack_binary, tmp_path_factory):
    made = CaseBench(gpustack_binary, tmp_path_factory.mktemp("cases"))
    yield made
    made.stop()


EMBEDDINGS, RERANK, SPEECH = "/v1/embeddings", "/v1/rerank", "/v1/audio/speech"
GUESSED = {"tokens": (GUESS, 0, 0), "is_estimated": True}


# --- usage of whole answers ----------------------------------------------------------------------

WHOLE = [
    Case("chat", "chunks=3", text=3, tokens=(10, 0, 3)),
    Case("chat-vllm", "chunks=3 usage=vllm cached=4", text=3, tokens=(10, 4, 3)),
    Case("chat-cached", "chunks=3 cached=10", text=3, tokens=(10, 10, 3)),
    Case("chat-llama", "chunks=3 usage=llama cached=4", text=3, tokens=(10, 4, 3)),
    Case("chat-tei", "chunks=3 usage=tei", text=3, tokens=(10, 0, 0)),
    Case("chat-total", "chunks=3 usage=total", text=3, tokens=(13, 0, 0)),
    Case("chat-cohere", "chunks=3 usage=cohere", text=3, tokens=(10, 0, 3)),
    Case("chat-none", "chunks=3 usage=none", text=3, **GUESSED),
    Case("chat-other-type", "chunks=3 type=application/json;charset=utf-8", text=3,
         tokens=(10, 0, 3)),
    Case("chat-huge-numbers", "prompt=9000000000000000000 completion=5", tokens=(GUESS, 0, 5),
         is_estimated=True),
    Case("chat-capped", "chunks=9", fields={"max_tokens": 2}, text=2, tokens=(10, 0, 2)),
    Case("chat-chunked", "chunks=3 framing=chunked", text=3, tokens=(10, 0, 3),
         has={"content-length": None}),
    Case("chat-to-close", "chunks=3 framing=close", text=3, tokens=(10, 0, 3)),
    Case("chat-trickled", "chunks=3 trickle=1", text=3, tokens=(10, 0, 3)),
    Case("chat-renamed", "chunks=3", model="renamed", text=3, tokens=(10, 0, 3),
         record={"model": "renamed", "route": "renamed"},
         check=lambda seen: wants_in_body(seen, '"model": "served"')),
    Case("completions", "chunks=3", COMPLETIONS, text=3, tokens=(10, 0, 3)),
    Case("completions-llama", "chunks=3 usage=llama cached=10", COMPLETIONS, text=3,
         tokens=(10, 10, 3)),
    Case("completions-none", "chunks=3 usage=none", COMPLETIONS, text=3, **GUESSED),
    Case("embeddings", "", EMBEDDINGS, tokens=(10, 0, 0)),
    Case("embeddings-total", "usage=total", EMBEDDINGS, tokens=(10, 0, 0)),
    Case("embeddings-none", "usage=none", EMBEDDINGS, **GUESSED),
    Case("embeddings-large", "size=3000000", EMBEDDINGS, **GUESSED),
    Case("rerank", "", RERANK, tokens=(10, 0, 0)),
    Case("rerank-cohere", "usage=cohere", RERANK, tokens=(10, 0, 0)),
    Case("rerank-tei", "usage=tei", RERANK, has={"x-compute-type": "cpu"}, tokens=(10, 0, 0)),
    Case("rerank-v2", "usage=cohere", "/v2/rerank", tokens=(10, 0, 0)),
    Case("score", "", "/v1/score", tokens=(10, 0, 0)),
    Case("responses", "chunks=3 cached=4", RESPONSES, text=3, tokens=(10, 4, 3)),
    Case("responses-none", "chunks=3 usage=none", RESPONSES, text=3, **GUESSED),
    Case("messages", "chunks=3 cached=4", MESSAGES, "native", text=3, tokens=(10, 4, 3)),
    Case("messages-translated", "chunks=3 cached=4", MESSAGES, text=3, tokens=(10, 4, 3)),
    Case("messages-translated-none", "chunks=3 usage=none", MESSAGES, text=3, **GUESSED),
    Case("messages-learnt", "chunks=3", MESSAGES, "learning", text=3, tokens=(10, 0, 3), asked=2),
    Case("count-tokens", "prompt=7", COUNT, "native",
         check=lambda seen: wants_json(seen, {"input_tokens": 7})),
    Case("count-tokens-translated", "", COUNT,
         check=lambda seen: wants_json(seen, {"input_tokens": 3})),
    Case("tokenize", "", "/v1/tokenize"),
    Case("moderations", "", "/v1/moderations", **GUESSED),
    Case("images", "usage=none", "/v1/images/generations"),
    Case("images-with-usage", "", "/v1/images/generations", tokens=(10, 0, 0)),
    Case("speech", "size=300000", SPEECH, has={"content-type": "audio/mpeg"}),
]


def wants_in_body(seen, text):
    """What came to the engine holds it."""
    assert text in seen.asked[-1]["body"]


def wants_json(seen, members):
    assert seen.json() == members


@each(WHOLE)
def test_whole_answers(bench, case):
    bench.run(case)


# --- usage of streams ----------------------------------------------------------------------------


def stream(name, script="", *args, **members):
    """A stream of three events with content that ends well."""
    members = {"text": 3, "tokens": (10, 0, 3), **members}
    return Case(name, f"chunks=3 {script}", *args, stream=True, **members)


def wants_timing(seen):
    """The usage that the client has asked for tells what the gateway measured."""
    usage = [one["usage"] for one in seen.members() if one.get("usage")][-1]
    assert usage["completion_tokens"] == 3 and usage["time_to_first_token_ms"] > 0
    assert usage["tokens_per_second"] > 0 and usage["time_per_output_token_ms"] > 0


def wants_no_usage(seen):
    assert b'"usage":{' not in seen.body


def wants_asked(options):
    """The engine was asked for usage with these options, whatever the client has written."""
    def check(seen):
        assert json.loads(seen.asked[-1]["body"])["stream_options"] == options
    return check


def options(value):
    return {"stream_options": value}


ASKED = {"include_usage": True}
MADE_SLOWLY = "delay_ms=1"      # so that there is a time between two tokens
STREAMS = [
    stream("s-chat", check=wants_no_usage),
    stream("s-chat-asked", MADE_SLOWLY, fields=options(ASKED), usage=True, check=wants_timing),
    stream("s-chat-options-asked", fields=options({"continuous_usage_stats": False, **ASKED}),
           usage=True, check=wants_asked({"continuous_usage_stats": False, **ASKED})),
    stream("s-chat-options-none", check=wants_asked(ASKED)),
    stream("s-chat-options-false", fields=options({"include_usage": False}),
           check=wants_asked(ASKED)),
    stream("s-chat-options-null", fields=options(None), check=wants_asked(ASKED)),
    stream("s-chat-options-empty", fields=options({}), check=wants_asked(ASKED)),
    stream("s-chat-options-other", fields=options({"continuous_usage_stats": False}),
           check=wants_asked({"continuous_usage_stats": False, **ASKED})),
    stream("s-chat-usage-null", fields=options({"include_usage": None}),
           check=wants_asked(ASKED)),
    stream("s-chat-always", "usage=always", check=wants_no_usage),
    stream("s-chat-each", "usage=each"),
    stream("s-chat-each-asked", f"usage=each {MADE_SLOWLY}", fields=options(ASKED), usage=True,
           check=wants_timing),
    stream("s-chat-null", "usage=null", check=wants_no_usage),
    stream("s-chat-finish", "usage=finish"),
    stream("s-chat-finish-asked", f"usage=finish {MADE_SLOWLY}", fields=options(ASKED),
           check=wants_timing),
    stream("s-chat-vllm", "usage=vllm cached=4", tokens=(10, 4, 3), check=wants_no_usage),
    stream("s-chat-llama", "usage=llama cached=10", tokens=(10, 10, 3)),
    stream("s-chat-total", "usage=total", tokens=(13, 0, 0)),
    stream("s-chat-none", "usage=none", tokens=(GUESS, 0, 3), is_estimated=True),
    stream("s-chat-more-told", "completion=50", tokens=(10, 0, 50)),
    stream("s-chat-reasoning", "reasoning=2"),
    stream("s-chat-empty", "chunks=0", text=0, tokens=(10, 0, 0)),
    stream("s-chat-comments", "comments=1"),
    stream("s-chat-crlf", "crlf=1", check=wants_no_usage),
    stream("s-chat-crlf-asked", f"crlf=1 {MADE_SLOWLY}", fields=options(ASKED), usage=True,
           check=wants_timing),
    stream("s-chat-trickled", "trickle=1", check=wants_no_usage),
    stream("s-chat-trickled-crlf", "trickle=1 crlf=1", check=wants_no_usage),
    stream("s-chat-by-seven", "trickle=7", fields=options(ASKED), usage=True),
    stream("s-chat-length-too-large", "framing=length length=100000", outcome="cut"),
    stream("s-chat-to-close", "framing=close"),
    stream("s-chat-long", "chunks=3000", text=3000, tokens=(10, 0, 3000)),
    stream("s-chat-large-events", "bytes=300000 chunks=5", text=None, tokens=(10, 0, 5)),
    stream("s-chat-no-done", "done=0", last=None),
    stream("s-chat-no-finish", "finish=0"),
    stream("s-completions", "", COMPLETIONS, check=wants_no_usage),
    stream("s-completions-asked", MADE_SLOWLY, COMPLETIONS, fields=options(ASKED), usage=True,
           check=wants_timing),
    stream("s-responses", "cached=4", RESPONSES, tokens=(10, 4, 3), last="response.completed"),
    stream("s-responses-none", "usage=none", RESPONSES, tokens=(GUESS, 0, 3), is_estimated=True,
           last="response.completed"),
    stream("s-messages", "cached=4", MESSAGES, "native", tokens=(10, 4, 3), last="message_stop"),
    stream("s-messages-none", "usage=none", MESSAGES, "native", tokens=(10, 0, 3),
           is_estimated=True, last="message_stop"),
    stream("s-messages-translated", "cached=4 usage=vllm", MESSAGES, tokens=(10, 4, 3),
           last="message_stop"),
    stream("s-messages-translated-none", "usage=none", MESSAGES, tokens=(GUESS, 0, 3),
           is_estimated=True, last="message_stop"),
    stream("s-messages-translated-trickled", "trickle=3 crlf=1", MESSAGES, last="message_stop"),
]


@each(STREAMS)
def test_streams(bench, case):
    bench.run(case)


# --- what an engine refuses ----------------------------------------------------------------------


def refusal(name, status, script="", *args, **members):
    """An error of the engine's: passed on as it is."""
    members = {"outcome": "client_error" if status < 500 else "engine_error",
               "check": wants_engines_error, **members}
    return Case(name, f"status={status} error=no-such-thing {script}", *args, status=status,
                **members)


def wants_engines_error(seen):
    error = seen.json()["error"]
    assert (error["message"], error["code"]) == ("no-such-thing", seen.case.status)


def wants_anthropic_error(seen):
    error = seen.json()["error"]
    assert error == {"type": seen.case.last, "message": "no-such-thing"}


REFUSALS = [
    *[refusal(f"status-{status}", status) for status in (400, 401, 404, 413, 422, 500, 501)],
    *[refusal(f"status-{status}", status, "retry_after=7", has={"retry-after": "7"})
      for status in (429, 502, 503, 504)],
    refusal("status-400-of-stream", 400, stream=True),
    refusal("status-503-of-stream", 503, "retry_after=7", stream=True, has={"retry-after": "7"}),
    refusal("status-429-of-messages", 429, "retry_after=7", MESSAGES, "native", last=None,
            has={"retry-after": "7"}, check=None),
    *[refusal(f"status-{status}-translated", status, "retry_after=7", MESSAGES, last=kind,
              has={"retry-after": "7", "content-type": "application/json"},
              check=wants_anthropic_error)
      for status, kind in ((400, "invalid_request_error"), (429, "rate_limit_error"),
                           (500, "api_error"), (503, "overloaded_error"))],
    refusal("status-405-learnt", 405, "", MESSAGES, "learning-405", asked=2,
            last="invalid_request_error", check=wants_anthropic_error),
]


@each(REFUSALS)
def test_engines_errors(bench, case):
    bench.run(case)


# --- faults before the answer --------------------------------------------------------------------


def fault(name, status, code, script="", *args, **members):
    """An error of the gateway's for a fault of the engine."""
    members = {"outcome": "timeout" if status == 504 else "engine_error", **members}
    return Case(name, script, *args, status=status, code=code, **members)


def failed(name, script, *args, **members):
    code = "api_error" if MESSAGES in args else "engine_failed"
    return fault(name, 502, code, script, *args, **members)


def late(name, script, **members):
    return fault(name, 504, "engine_timeout", script, model="timely", **members)


EARLY = [
    failed("fin-before-head", "cut=head:0"),
    failed("rst-before-head", "cut=head:0 by=rst"),
    failed("fin-in-head", "cut=head:20"),
    failed("rst-in-head", "cut=head:20 by=rst"),
    failed("fin-before-head-of-stream", "cut=head:0", stream=True),
    failed("reused-fin-twice", "cut=head:0", is_reused=True, asked=2),
    failed("reused-fin-in-head", "cut=head:20", is_reused=True),
    Case("reused-rst-once", next=("cut=head:0 by=rst", "chunks=3"), is_reused=True, asked=2,
         text=3, tokens=(10, 0, 3)),
    Case("reused-fin-once", next=("cut=head:0", "chunks=3"), is_reused=True, asked=2, text=3,
         tokens=(10, 0, 3)),
    failed("garbage", "garbage=200"),
    failed("much-garbage", "garbage=200000"),
    Case("interim", "interim=3 chunks=3", text=3, tokens=(10, 0, 3)),
    Case("interim-100", "interim=16 interim_status=100 chunks=3", text=3, tokens=(10, 0, 3)),
    failed("too-many-interim", "interim=17"),
    failed("switching-protocols", "interim=1 interim_status=101"),
    failed("status-of-no-class", "status=999"),
    Case("large-header", "header_bytes=20000 chunks=3", text=3, tokens=(10, 0, 3),
         has={"x-padding": "p" * 20000}),
    failed("too-large-header", "header_bytes=40000"),
    Case("many-headers", "headers=90 chunks=3", text=3, tokens=(10, 0, 3),
         has={"x-extra-0": "0", "x-extra-89": "89"}),
    failed("too-many-headers", "headers=150"),
    late("late-head", "stall=head:0"),
    late("late-in-head", "stall=head:20"),
    late("late-head-of-stream", "stall=head:0", stream=True),
    fault("refused-connection", 503, "engine_unreachable", model="away", asked=0,
          has={"retry-after": "5"}),
    fault("refused-connection-messages", 503, "overloaded_error", "", MESSAGES, "away", asked=0,
          has={"retry-after": "5"}),
    fault("no-instance", 503, "no_instance_ready", model="none", asked=0, outcome="no_instance",
          has={"retry-after": "5"}, record={"attempts": 0}),
    failed("translated-cut", "cut=body:10", MESSAGES),
    failed("translated-no-json", "size=100", MESSAGES),
    failed("translated-too-large", "size=40000000", MESSAGES),
]


@each(EARLY)
def test_faults_before_the_answer(bench, case):
    bench.run(case)


# --- faults in the answer ------------------------------------------------------------------------


def cut(name, script, *args, **members):
    """An answer that isn't whole, so that the client's isn't either."""
    members = {"ended": "fin", "outcome": "cut", **GUESSED, **members}
    return Case(name, f"chunks=3 {script}", *args, **members)


def cut_stream(name, script, text, *args, **members):
    """A stream without an end, whose last event says so."""
    members = {"ended": "whole", "last": "engine_failed", "tokens": (GUESS, 0, text), **members}
    return cut(name, f"{script}", *args, text=text, stream=True, **members)


def wants_named_error(seen):
    """The error event of the Responses API, which clients look for by its name."""
    last = seen.members()[-1]
    assert seen.body.count(b"\nevent: error\n") == 1
    assert (last["type"], last["code"], last["param"]) == ("error", "engine_failed", None)
    assert last["message"] == last["error"]["message"]


LATE = [
    cut("fin-in-body", "cut=body:10"),
    cut("rst-in-body", "cut=body:10 by=rst"),
    cut("fin-in-chunked", "framing=chunked cut=body:20"),
    cut("rst-in-chunked", "framing=chunked cut=body:20 by=rst"),
    cut("rst-in-body-to-close", "framing=close cut=body:10 by=rst"),
    Case("fin-in-body-to-close", "framing=close cut=body:10", **GUESSED),
    cut("length-too-large", "length=5", tokens=(10, 0, 3), is_estimated=False),
    Case("length-too-small", "length=-5 size=100", check=lambda seen: wants_bytes(seen, 95),
         **GUESSED),
    cut("no-chunk-size", "framing=chunked bad_chunk=0"),
    cut("late-body", "stall=body:0", model="timely", outcome="timeout"),
    cut("rst-in-speech", "size=300000 cut=body:200000 by=rst", SPEECH, tokens=(0, 0, 0),
        is_estimated=False),
    *[cut_stream(f"s-{by}-at-{k}", f"cut=chunk:{k} by={by}", k)
      for k in range(4) for by in ("fin", "rst") if k],
    cut_stream("s-fin-at-0", "cut=chunk:0", 0),
    cut_stream("s-fin-in-event", "cut=body:400", 2),
    cut_stream("s-rst-in-event", "cut=body:400 by=rst", 2),
    cut_stream("s-fin-at-1-to-close", "framing=close cut=chunk:1", 1),
    cut_stream("s-rst-at-1-to-close", "framing=close cut=chunk:1 by=rst", 1),
    cut_stream("s-no-chunk-size", "bad_chunk=2", 2),
    cut_stream("s-no-end", "done=0 finish=0", 3, tokens=(10, 0, 3), is_estimated=False),
    cut_stream("s-late", "stall=chunk:0", 0, model="timely", last="engine_timeout",
               outcome="timeout"),
    cut_stream("s-error-event", "error_at=2", 2, last=200, outcome="engine_error"),
    cut_stream("s-completions-cut", "cut=chunk:2", 2, COMPLETIONS),
    cut_stream("s-responses-cut", "cut=chunk:2", 2, RESPONSES, tokens=(GUESS, 0, 2),
               check=wants_named_error),
    cut_stream("s-responses-no-end", "finish=0", 3, RESPONSES),
    cut_stream("s-messages-cut", "cut=chunk:2", 2, MESSAGES, "native", last="api_error",
               tokens=(10, 0, 2)),
    cut_stream("s-messages-no-end", "finish=0 done=0", 3, MESSAGES, "native", last="api_error",
               tokens=(10, 0, 3)),
    cut_stream("s-translated-cut", "cut=chunk:2", 2, MESSAGES, last="api_error"),
    cut_stream("s-translated-no-end", "done=0 finish=0", 3, MESSAGES, last="api_error",
               tokens=(10, 0, 3), is_estimated=False),
    cut_stream("s-translated-done-without-finish", "finish=0", 3, MESSAGES, last="api_error",
               tokens=(10, 0, 3), is_estimated=False),
    # The engine would go on: it is left.
    cut_stream("s-translated-large-event", "bytes=1200000 stall=chunk:1", 0, MESSAGES,
               last="api_error"),
    cut_stream("s-translated-error-event", "error_at=2", 2, MESSAGES, last="api_error",
               outcome="engine_error"),
]


def wants_bytes(seen, size):
    assert len(seen.body) == size


@each(LATE)
def test_faults_in_the_answer(bench, case):
    bench.run(case)


def test_control_is_told_what_the_access_log_says(bench):
    """Of all cases before, each once."""
    def essence(records):
        """What both have; the log's lines have no number yet."""
        others = ("seq", "gateway", "method", "path", "peer")
        return sorted(json.dumps({key: one[key] for key in one if key not in others},
                                 sort_keys=True) for one in records)

    def is_the_same():
        bench.read_log()
        logged = [record for records in bench.records.values() for record in records]
        return logged and essence(bench.gw.control.records) == essence(logged)
    wait_for(is_the_same, 10, "control has the records of the access log")
