# SPDX-License-Identifier: Apache-2.0
"""anthropic-python against a real llama-server through the gateway, twice: the engine speaks the
Messages API itself, and the engine is one that doesn't, for which the gateway translates."""

import asyncio

import anthropic
import pytest

import harness
import openai_only_engine
from conformance import (ADD, CALL, PNG, QUESTION, SENTENCE, SUM, Ledger, anthropic_usage, offer,
                         wait_engine_free)
from harness import wait_for

STREAMS = 30
TOOLS = [{"name": "add", "description": "Adds.", "input_schema": ADD}]


@pytest.fixture(scope="module", params=["native", "translated"])
def serving(request, gpustack_binary, engine_dir, make_model, tmp_path_factory):
    """A server whose engines have Anthropic's API, or have it not: see its member `way`."""
    folder = tmp_path_factory.mktemp("anthropic")
    if request.param == "translated":
        engine_dir = openai_only_engine.install(folder / "engines", engine_dir)
    cluster = harness.Cluster(gpustack_binary, engine_dir, folder,
                              args=["--max-request-body", "2", "--queue-timeout", "0"])
    cluster.way = request.param
    try:
        cluster.start()
        offer(cluster, make_model, "hello", "caller", "endless")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def ledger(serving):
    """What records must say; they are looked at when the file's tests are through."""
    book = Ledger(serving)
    yield book
    book.check()


def make_client(cluster, key=None, kind=anthropic.Anthropic, **options):
    return kind(base_url=cluster.url, api_key=key or cluster.api_key(), max_retries=0, timeout=30,
                **options)


@pytest.fixture(scope="module")
def client(serving):
    with make_client(serving) as made:
        yield made


def fields_of(fields):
    return {"model": "hello", "messages": QUESTION, "max_tokens": 100, **fields}


def ask(client, ledger, **fields):
    """The message; that its record will say the same is seen to."""
    answer = client.messages.create(**fields_of(fields))
    assert (answer.type, answer.role) == ("message", "assistant")
    ledger.expect(answer._request_id, "messages", fields.get("model", "hello"),
                  anthropic_usage(answer.usage), is_stream=False)
    return answer


def texts(answer):
    return [block.text for block in answer.content if block.type == "text"]


# --- messages ------------------------------------------------------------------------------------


def test_message(serving, client, ledger):
    answer = ask(client, ledger, metadata={"user_id": "somebody"},
                 extra_body={"temperature": 0, "top_k": 1, "top_p": 0.9})
    assert texts(answer) == [SENTENCE]
    assert (answer.model, answer.stop_reason, answer.stop_sequence) == ("hello", "end_turn", None)
    assert answer.usage.output_tokens == len(SENTENCE.split()) + 1
    assert answer.id and answer.id.startswith("msg_") == (serving.way == "translated")


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief.",
                                                   "cache_control": {"type": "ephemeral"}}]])
def test_system_and_turns(client, ledger, system):
    answer = ask(client, ledger, system=system, messages=[
        {"role": "user", "content": [{"type": "text", "text": "Who"},
                                     {"type": "text", "text": "are you?"}]},
        {"role": "assistant", "content": "Me?"},
        {"role": "user", "content": "\u4f60\u597d \U0001f600"}])
    assert texts(answer) == [SENTENCE]


def test_max_tokens_end_an_answer(client, ledger):
    answer = ask(client, ledger, max_tokens=3)
    assert (texts(answer), answer.stop_reason) == (["I am the"], "max_tokens")
    assert answer.usage.output_tokens == 3


def test_stop_sequence_ends_an_answer(client, ledger):
    answer = ask(client, ledger, stop_sequences=["demo"])
    assert texts(answer)[0].strip() == "I am the gpustack"
    assert answer.stop_reason in ("stop_sequence", "end_turn")  # not told to a translator


def test_message_as_events(client, ledger):
    reply = client.messages.with_raw_response.create(**fields_of({"stream": True}))
    events = list(reply.parse())
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"} and len(kinds) > 10
    ledger.expect(reply.headers["request-id"], "messages", is_stream=True,
                  completion_tokens=events[-2].usage.output_tokens)


def test_stream_helper_puts_the_message_together(client, ledger):
    with client.messages.stream(**fields_of({})) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert text == SENTENCE and texts(answer) == [SENTENCE]
    assert (answer.model, answer.stop_reason) == ("hello", "end_turn")
    ledger.expect(stream.request_id, "messages", usage=anthropic_usage(answer.usage),
                  is_stream=True)


def test_tokens_are_counted(client, ledger):
    for fields in ({}, {"system": "Be brief."}):
        counted = client.messages.count_tokens(model="hello", messages=QUESTION, **fields)
        answer = ask(client, ledger, max_tokens=1, **fields)
        assert counted.input_tokens == anthropic_usage(answer.usage)["prompt_tokens"]
        ledger.expect(counted._request_id, "count_tokens", completion_tokens=0, prompt_tokens=0)


def test_engine_is_asked_as_it_can_be_asked(serving, client, ledger):
    """Once it has said of a path that it lacks it, it isn't asked for that again."""
    if serving.way == "native":
        pytest.skip("it has the API")
    engine = harness.Http("127.0.0.1", serving.instances("hello")[0]["port"])
    ask(client, ledger)
    client.messages.count_tokens(model="hello", messages=QUESTION)
    before = engine.get("/relay/paths").expect(200)
    ask(client, ledger)
    client.messages.count_tokens(model="hello", messages=QUESTION)
    after = engine.get("/relay/paths").expect(200)
    assert after[len(before):] == ["/v1/chat/completions", "/tokenize"]
    assert sorted(path for path in after if path.startswith("/v1/messages")) == [
        "/v1/messages", "/v1/messages/count_tokens"]


# --- tools ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["auto", "any", "tool"])
def test_tool_is_called(client, ledger, choice):
    chosen = {"type": choice, "name": "add"} if choice == "tool" else {"type": choice}
    answer = ask(client, ledger, model="caller", tools=TOOLS, tool_choice=chosen)
    call, = (block for block in answer.content if block.type == "tool_use")
    assert (call.name, call.input, answer.stop_reason) == ("add", SUM, "tool_use")
    assert call.id and not any(text.strip() for text in texts(answer))


def test_tool_call_is_streamed(client, ledger):
    with client.messages.stream(**fields_of({"model": "caller", "tools": TOOLS})) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_message()
    call, = (block for block in answer.content if block.type == "tool_use")
    assert "input_json" in kinds
    assert (call.name, call.input, answer.stop_reason) == ("add", SUM, "tool_use")
    ledger.expect(stream.request_id, "messages", "caller", anthropic_usage(answer.usage))


@pytest.mark.parametrize("result", ["3", [{"type": "text", "text": "3"}]])
def test_result_of_a_tool_is_taken(client, ledger, result):
    answer = ask(client, ledger, model="caller", messages=[
        *QUESTION,
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "add", "input": SUM}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": result},
            {"type": "text", "text": "And?"}]}])
    assert texts(answer) == [CALL], "without tools it's text"


# --- errors --------------------------------------------------------------------------------------


def fails(client, kind, error_type, **fields):
    with pytest.raises(kind) as caught:
        client.messages.create(**fields_of(fields))
    error = caught.value
    assert error.body["type"] == "error" and error.body["error"]["type"] == error_type
    assert error.request_id == error.body["request_id"] == error.response.headers["x-request-id"]
    return error


@pytest.mark.parametrize("options", [{}, {"auth_token": "wrong"}])
def test_wrong_key(serving, options):
    """By X-API-Key, and as a bearer token."""
    key = None if options else "wrong"
    wrong = anthropic.Anthropic(base_url=serving.url, api_key=key, max_retries=0, **options)
    error = fails(wrong, anthropic.AuthenticationError, "authentication_error")
    assert error.status_code == 401


def test_bearer_token_is_taken(serving, ledger):
    client = anthropic.Anthropic(base_url=serving.url, auth_token=serving.api_key(), api_key=None,
                                 max_retries=0)
    assert texts(ask(client, ledger)) == [SENTENCE]


def test_key_for_other_models(serving):
    key = serving.make_key({"name": "narrow", "allowed_model_names": ["caller"]})
    error = fails(make_client(serving, key), anthropic.PermissionDeniedError, "permission_error")
    assert error.status_code == 403


def test_unknown_model(client):
    error = fails(client, anthropic.NotFoundError, "not_found_error", model="nobody")
    assert error.status_code == 404 and "nobody" in error.message


def test_unknown_path(client):
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.batches.list()
    assert caught.value.body["error"]["type"] == "not_found_error"
    assert caught.value.request_id


def test_bad_request(client):
    error = fails(client, anthropic.BadRequestError, "invalid_request_error", max_tokens="many")
    assert error.status_code == 400 and "max_tokens" in error.message


def test_bad_request_that_the_engine_or_the_translation_finds(client, ledger):
    with pytest.raises(anthropic.BadRequestError, match="max_tokens") as caught:
        client.messages.create(**fields_of({"max_tokens": -5}))
    ledger.refused(caught.value.request_id, "messages", "hello", "client_error", 400)


def test_image_for_a_model_without_eyes_is_refused_by_the_engine(client, ledger):
    image = {"type": "image",
             "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    with pytest.raises(anthropic.InternalServerError, match="image input is not") as caught:
        client.messages.create(**fields_of({"messages": [{"role": "user", "content": [image]}]}))
    ledger.refused(caught.value.request_id, "messages", "hello", "engine_error", 500)


def test_too_large_a_body(client):
    error = fails(client, anthropic.RequestTooLargeError, "request_too_large",
                  messages=[{"role": "user", "content": "x" * (8 << 20)}])
    assert error.status_code == 413


def test_limit_of_the_key(serving, ledger):
    slow = make_client(serving, serving.make_key({"name": "slow", "requests_per_minute": 1}))
    reply = slow.messages.with_raw_response.create(**fields_of({}))
    assert reply.headers["anthropic-ratelimit-requests-limit"] == "1"
    ledger.expect(reply.headers["request-id"], "messages",
                  usage=anthropic_usage(reply.parse().usage))
    error = fails(slow, anthropic.RateLimitError, "rate_limit_error")
    assert error.status_code == 429
    assert 0 < int(error.response.headers["retry-after"]) <= 60
    assert error.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
    ledger.refused(error.request_id, "messages", "hello", "limited", 429)


def test_no_instance(serving, client, ledger, make_idle_model):
    make_idle_model("asleep")
    wait_for(lambda: serving.user().get("/v1/models/asleep").status == 200, 5,
             "the gateway knows the model")
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(**fields_of({"model": "asleep"}))
    assert caught.value.status_code == 503 and caught.value.body["type"] == "error"
    ledger.refused(caught.value.request_id, "messages", "asleep", "no_instance", 503)


# --- many at once, and clients that leave --------------------------------------------------------


def test_streams_at_once(serving, ledger):
    async def one(client):
        async with client.messages.stream(**fields_of({})) as stream:
            answer = await stream.get_final_message()
        ledger.expect(stream.request_id, "messages", usage=anthropic_usage(answer.usage))
        return texts(answer)

    async def all_of_them():
        async with make_client(serving, kind=anthropic.AsyncAnthropic) as client:
            return await asyncio.gather(*(one(client) for _ in range(STREAMS)))

    assert asyncio.run(all_of_them()) == [[SENTENCE]] * STREAMS


def test_closed_stream_frees_the_engine(serving, client, ledger):
    reply = client.messages.with_raw_response.create(
        **fields_of({"model": "endless", "stream": True, "max_tokens": 100000}))
    stream, request = reply.parse(), reply.headers["request-id"]
    for _ in range(8):
        next(stream)
    stream.close()
    if serving.way == "native":
        wait_engine_free(serving, "endless")
    ledger.expect(request, "messages", "endless", outcome="aborted", aborted_phase="streaming",
                  is_stream=True, is_estimated=True)
    assert ledger.record(request)["completion_tokens"] >= 4
