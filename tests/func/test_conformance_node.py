# SPDX-License-Identifier: Apache-2.0
"""openai-node against a real llama-server through the gateway: tests/node/openai.js runs, and what
it saw is looked at here, with what control was told of its requests."""

import json
import os
import pathlib
import subprocess
import types

import pytest

import harness
from conformance import (SENTENCE, SUM, Ledger, offer, openai_usage, responses_usage,
                         wait_engine_free)

NODE = pathlib.Path(__file__).resolve().parents[1] / "node"
TIMINGS = ("tokens_per_second", "time_to_first_token_ms", "time_per_output_token_ms")


@pytest.fixture(scope="module")
def serving(gpustack_binary, engine_dir, make_model, tmp_path_factory):
    cluster = harness.Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("node"),
                              args=["--max-request-body", "2"])
    try:
        cluster.start()
        offer(cluster, make_model, "hello", "caller", "endless", "vectors")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def ledger(serving):
    """What records must say; they are looked at when the file's tests are through."""
    book = Ledger(serving)
    yield book
    book.check()


@pytest.fixture(scope="module")
def seen(serving):
    """Name of a scenario of openai.js -> what it saw."""
    if not (NODE / "node_modules").exists():
        pytest.fail("tests/node/node_modules is missing: npm ci --prefix tests/node "
                    "(./check does it)")
    poor = serving.make_key({"name": "poor", "token_budget": 1, "budget_period": "never"})
    done = subprocess.run(["node", NODE / "openai.js"], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "SERVER": serving.url, "KEY": serving.api_key(),
                               "POOR_KEY": poor})
    assert done.returncode == 0, done.stderr
    saw = {}
    for line in done.stdout.splitlines():
        scenario = json.loads(line, object_hook=lambda members: types.SimpleNamespace(**members))
        saw[scenario.name] = scenario
    return saw


def test_chat(seen, ledger):
    chat = seen["chat"]
    assert (chat.text, chat.model) == (SENTENCE, "hello")
    ledger.expect(chat.request, "chat", usage=openai_usage(chat.usage), is_stream=False)


def test_stream_with_usage(seen, ledger):
    stream = seen["streamWithUsage"]
    usage, = stream.usages
    assert stream.text == SENTENCE and stream.chunks > 10
    assert all(getattr(usage, name) > 0 for name in TIMINGS)
    ledger.expect(stream.request, "chat", usage=openai_usage(usage), is_stream=True)


def test_stream_without_usage(seen, ledger):
    stream = seen["streamWithoutUsage"]
    assert stream.text == SENTENCE and stream.usages == []
    ledger.expect(stream.request, "chat", is_stream=True,
                  completion_tokens=len(SENTENCE.split()) + 1)


def test_tool_call(seen, ledger):
    call = seen["toolCall"]
    assert (call.called, vars(call.arguments), call.reason) == ("add", SUM, "tool_calls")
    assert call.usage.completion_tokens > 0


def test_responses(seen, ledger):
    answer = seen["responses"]
    assert answer.text == SENTENCE
    ledger.expect(answer.request, "responses", usage=responses_usage(answer.usage))


def test_embeddings(seen, ledger):
    packed, floats = seen["embeddings"], seen["floats"]
    assert packed.count == floats.count == 2 and len(floats.first) == 256
    assert packed.first == pytest.approx(floats.first, abs=1e-6)
    for one in (packed, floats):
        ledger.expect(one.request, "embeddings", "vectors", openai_usage(one.usage))


def test_models(seen):
    assert seen["models"].names == ["caller", "endless", "hello", "vectors"]
    assert seen["models"].one == "hello"


@pytest.mark.parametrize("name", ["abort", "leave"])
def test_stream_that_is_left_frees_the_engine(serving, seen, ledger, name):
    wait_engine_free(serving, "endless")
    assert seen[name].chunks >= 5 # abort() doesn't take away what the client has read already
    ledger.expect(seen[name].request, "chat", "endless", outcome="aborted", is_stream=True,
                  aborted_phase="streaming", is_estimated=True)


def test_request_that_is_given_up_frees_the_engine(serving, seen, ledger):
    wait_engine_free(serving, "endless")
    assert seen["abortBeforeAnswer"].__dict__["class"] == "APIUserAbortError"
    ledger.expect("node-gave-up", "chat", "endless", outcome="aborted", status=0,
                  aborted_phase="waiting", is_estimated=True)


@pytest.mark.parametrize("name, kind, status, code", [
    ("wrongKey", "AuthenticationError", 401, "invalid_api_key"),
    ("wrongModel", "NotFoundError", 404, "model_not_found"),
    ("badRequest", "BadRequestError", 400, "invalid_body"),
    ("limited", "RateLimitError", 429, "insufficient_quota"),
    ("tooLarge", "APIError", 413, "request_too_large"),
])
def test_errors(seen, name, kind, status, code):
    error = vars(seen[name])
    assert (error["class"], error["status"], error["code"]) == (kind, status, code)
    assert error["message"] and error["request"]


def test_many_streams(seen, ledger):
    many = seen["many"]
    assert many.texts == [SENTENCE] * 30
    for request, usage in zip(many.requests, many.usages):
        ledger.expect(request, "chat", usage=openai_usage(usage), is_stream=True)
