# SPDX-License-Identifier: Apache-2.0
"""openai-python against a real llama-server through the gateway: each endpoint that the engine has,
each kind of error, and what control was told of the requests afterwards."""

import asyncio
import base64
import json
import struct

import openai
import pytest

import harness
from conformance import (ADD, CALL, PNG, QUESTION, SENTENCE, SUM, Ledger, offer, openai_usage,
                         responses_usage, wait_engine_free)
from harness import wait_for

STREAMS = 50
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": ADD}}]
TIMINGS = ("tokens_per_second", "time_to_first_token_ms", "time_per_output_token_ms")
SCHEMA = {"type": "object", "properties": {"answer": {"const": 42}}, "required": ["answer"],
          "additionalProperties": False}


@pytest.fixture(scope="module")
def serving(gpustack_binary, engine_dir, make_model, tmp_path_factory):
    """A server with a model of each kind that takes no body above 2 MiB and lets nobody wait."""
    cluster = harness.Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("openai"),
                              args=["--max-request-body", "2", "--queue-timeout", "0"])
    try:
        cluster.start()
        offer(cluster, make_model)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def ledger(serving):
    """What records must say; they are looked at when the file's tests are through."""
    book = Ledger(serving)
    yield book
    book.check()


def make_client(cluster, key=None, kind=openai.OpenAI):
    return kind(base_url=cluster.url + "/v1", api_key=key or cluster.api_key(), max_retries=0,
                timeout=30)


@pytest.fixture(scope="module")
def client(serving):
    with make_client(serving) as made:
        yield made


def ask(client, **fields):
    """(answer, request id) of a chat with "hello", unless the fields say otherwise."""
    reply = client.chat.completions.with_raw_response.create(
        **{"model": "hello", "messages": QUESTION, **fields})
    return reply.parse(), reply.headers["x-request-id"]


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


# --- chat ----------------------------------------------------------------------------------------


def test_chat(client, ledger):
    answer, request = ask(client, seed=7, temperature=0, user="somebody",
                          extra_body={"top_k": 1, "min_p": 0.1})
    assert answer.choices[0].message.content == SENTENCE
    assert (answer.object, answer.model) == ("chat.completion", "hello")
    assert answer._request_id == request
    ledger.expect(request, "chat", usage=openai_usage(answer.usage), is_stream=False, attempts=1)


def test_chat_with_developer_and_system_messages_and_parts(client, ledger):
    answer, request = ask(client, messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Who"},
                                     {"type": "text", "text": " are you?"}]},
        {"role": "assistant", "content": "Me?"},
        {"role": "user", "content": "\u4f60\u597d \U0001f600"}])
    assert answer.choices[0].message.content == SENTENCE
    ledger.expect(request, "chat", usage=openai_usage(answer.usage))


def test_stream_without_usage_tells_none(client, ledger):
    stream = client.chat.completions.create(model="hello", messages=QUESTION, stream=True)
    chunks = list(stream)
    assert text_of(chunks) == SENTENCE
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    ledger.expect(stream.response.headers["x-request-id"], "chat", is_stream=True,
                  completion_tokens=len(SENTENCE.split()) + 1)


@pytest.mark.parametrize("options", [{"include_usage": False}, {}])
def test_stream_options_without_usage_tell_none(client, ledger, options):
    stream = client.chat.completions.create(model="hello", messages=QUESTION, stream=True,
                                            stream_options=options)
    chunks = list(stream)
    assert text_of(chunks) == SENTENCE
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    ledger.expect(stream.response.headers["x-request-id"], "chat", is_stream=True,
                  completion_tokens=len(SENTENCE.split()) + 1)


def test_usage_chunk_has_tokens_and_times(client, ledger):
    stream = client.chat.completions.create(model="hello", messages=QUESTION, stream=True,
                                            stream_options={"include_usage": True})
    chunks = list(stream)
    usage = chunks[-1].usage
    assert chunks[-1].choices == [] and text_of(chunks) == SENTENCE
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert all(usage.model_extra[name] > 0 for name in TIMINGS), usage
    ledger.expect(stream.response.headers["x-request-id"], "chat", is_stream=True,
                  usage=openai_usage(usage))


def test_stream_helper_puts_the_answer_together(client, ledger):
    with client.chat.completions.stream(model="hello", messages=QUESTION,
                                        stream_options={"include_usage": True}) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert answer.choices[0].message.content == SENTENCE
    ledger.expect(stream._response.headers["x-request-id"], "chat",
                  usage=openai_usage(answer.usage))


def test_max_tokens_end_an_answer(client, ledger):
    for name in ("max_tokens", "max_completion_tokens"):
        answer, request = ask(client, **{name: 3})
        assert answer.choices[0].message.content == "I am the"
        assert answer.choices[0].finish_reason == "length"
        ledger.expect(request, "chat", usage=openai_usage(answer.usage), completion_tokens=3)


def test_stop_ends_an_answer(client, ledger):
    answer, request = ask(client, stop=["demo", "never"])
    assert answer.choices[0].message.content.strip() == "I am the gpustack"
    assert answer.choices[0].finish_reason == "stop"
    ledger.expect(request, "chat", usage=openai_usage(answer.usage))


def test_more_than_one_choice(client, ledger):
    answer, request = ask(client, n=2)
    assert [choice.message.content for choice in answer.choices] == [SENTENCE] * 2
    ledger.expect(request, "chat", usage=openai_usage(answer.usage))


def test_more_than_one_choice_streamed(client, ledger):
    stream = client.chat.completions.create(model="hello", messages=QUESTION, stream=True, n=2)
    texts = ["", ""]
    for chunk in stream:
        assert chunk.usage is None
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [SENTENCE] * 2
    ledger.expect(stream.response.headers["x-request-id"], "chat", is_stream=True)


def test_log_probabilities(client, ledger):
    answer, request = ask(client, logprobs=True, top_logprobs=3, max_tokens=2)
    tokens = answer.choices[0].logprobs.content
    assert [token.token for token in tokens] == ["I", " am"]
    assert all(len(token.top_logprobs) == 3 for token in tokens)
    ledger.expect(request, "chat", usage=openai_usage(answer.usage))
    stream = client.chat.completions.create(model="hello", messages=QUESTION, stream=True,
                                            logprobs=True, top_logprobs=2, max_tokens=2)
    streamed = [token.token for chunk in stream if chunk.choices and chunk.choices[0].logprobs
                for token in chunk.choices[0].logprobs.content]
    assert streamed == ["I", " am"]
    ledger.expect(stream.response.headers["x-request-id"], "chat", completion_tokens=2)


@pytest.mark.parametrize("stream", [False, True])
def test_answer_fits_a_schema(client, ledger, stream):
    fields = {"max_tokens": 400, "response_format": {
        "type": "json_schema", "json_schema": {"name": "it", "strict": True, "schema": SCHEMA}}}
    if stream:
        events = client.chat.completions.create(model="hello", messages=QUESTION, stream=True,
                                                **fields)
        text, request = text_of(events), events.response.headers["x-request-id"]
    else:
        answer, request = ask(client, **fields)
        text = answer.choices[0].message.content
    assert json.loads(text) == {"answer": 42}
    ledger.expect(request, "chat", is_stream=stream)


def test_json_object_is_asked_of_the_engine(client, ledger):
    answer, request = ask(client, max_tokens=5, response_format={"type": "json_object"})
    begin = answer.choices[0].message.content.strip()[:1]
    assert begin in ("", "{", "`"), "the sentence is no JSON; a blank or a fence before it may be"
    ledger.expect(request, "chat", usage=openai_usage(answer.usage))


# --- tools ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [
    "auto", "required", {"type": "function", "function": {"name": "add"}}])
def test_tool_is_called(client, ledger, choice):
    answer, request = ask(client, model="caller", tools=TOOLS, tool_choice=choice, max_tokens=200)
    call, = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", SUM)
    ledger.expect(request, "chat", "caller", openai_usage(answer.usage))


def test_no_tool_is_called_when_none_may_be(client, ledger):
    answer, request = ask(client, model="caller", tools=TOOLS, tool_choice="none")
    assert answer.choices[0].message.content == CALL
    assert not answer.choices[0].message.tool_calls
    ledger.expect(request, "chat", "caller", openai_usage(answer.usage))


def test_tool_call_is_streamed(client, ledger):
    with client.chat.completions.stream(model="caller", messages=QUESTION, tools=TOOLS,
                                        stream_options={"include_usage": True}) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    call, = answer.choices[0].message.tool_calls
    assert "tool_calls.function.arguments.delta" in kinds
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", SUM)
    ledger.expect(stream._response.headers["x-request-id"], "chat", "caller",
                  openai_usage(answer.usage))


def test_result_of_a_tool_is_taken(client, ledger):
    call = {"id": "call_1", "type": "function",
            "function": {"name": "add", "arguments": json.dumps(SUM)}}
    answer, request = ask(client, messages=[
        *QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3"}], model="caller")
    assert answer.choices[0].message.content == CALL
    ledger.expect(request, "chat", "caller", openai_usage(answer.usage))


# --- the other endpoints -------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["Hi\n", ["Hi\n", "Ho\n"]])
def test_completions(client, ledger, prompt):
    reply = client.completions.with_raw_response.create(model="hello", prompt=prompt,
                                                        max_tokens=64, logprobs=1, echo=False)
    answer = reply.parse()
    assert len(answer.choices) == (1 if isinstance(prompt, str) else 2)
    assert {choice.text for choice in answer.choices} == {SENTENCE}
    ledger.expect(reply.headers["x-request-id"], "completions", usage=openai_usage(answer.usage))


def test_completions_streamed(client, ledger):
    stream = client.completions.create(model="hello", prompt="Hi\n", max_tokens=64, stream=True,
                                       stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == SENTENCE
    usage, = (chunk.usage for chunk in chunks if chunk.usage)
    assert all(usage.model_extra[name] > 0 for name in TIMINGS), usage
    ledger.expect(stream.response.headers["x-request-id"], "completions", is_stream=True,
                  usage=openai_usage(usage))


def embed(client, **fields):
    reply = client.embeddings.with_raw_response.create(
        **{"model": "vectors", "input": ["one", "two words"], **fields})
    return reply.parse(), reply.headers["x-request-id"]


def test_embeddings(client, ledger):
    floats, request = embed(client, encoding_format="float")
    ledger.expect(request, "embeddings", "vectors", openai_usage(floats.usage))
    usual, request = embed(client)              # the client asks for base64 and decodes it
    ledger.expect(request, "embeddings", "vectors", openai_usage(usual.usage))
    packed, request = embed(client, encoding_format="base64")
    ledger.expect(request, "embeddings", "vectors", openai_usage(packed.usage))
    assert [len(item.embedding) for item in floats.data] == [256, 256]
    for i in range(2):
        decoded = struct.unpack("<256f", base64.b64decode(packed.data[i].embedding))
        assert floats.data[i].embedding == pytest.approx(decoded, abs=1e-6)
        assert floats.data[i].embedding == pytest.approx(usual.data[i].embedding, abs=1e-6)


def test_embeddings_of_tokens(client, ledger):
    answer, request = embed(client, input=[[259, 260], [261]])
    assert len(answer.data) == 2
    ledger.expect(request, "embeddings", "vectors", openai_usage(answer.usage))


def test_responses(client, ledger):
    reply = client.responses.with_raw_response.create(model="hello", input="Who are you?",
                                                      instructions="Be brief.")
    answer = reply.parse()
    assert (answer.output_text, answer.status) == (SENTENCE, "completed")
    ledger.expect(reply.headers["x-request-id"], "responses", is_stream=False,
                  usage=responses_usage(answer.usage))


def test_responses_streamed(client, ledger):
    stream = client.responses.create(model="hello", input=QUESTION, stream=True)
    events = list(stream)
    assert "".join(event.delta for event in events
                   if event.type == "response.output_text.delta") == SENTENCE
    assert events[-1].type == "response.completed"
    ledger.expect(stream.response.headers["x-request-id"], "responses", is_stream=True,
                  usage=responses_usage(events[-1].response.usage))


def test_responses_call_tools(client, ledger):
    reply = client.responses.with_raw_response.create(
        model="caller", input="Add.",
        tools=[{"type": "function", "name": "add", "parameters": ADD, "strict": False}])
    answer = reply.parse()
    call, = answer.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "add", SUM)
    ledger.expect(reply.headers["x-request-id"], "responses", "caller",
                  responses_usage(answer.usage))


def test_input_tokens_are_counted(client, ledger):
    reply = client.responses.input_tokens.with_raw_response.count(model="hello",
                                                                  input="Who are you?")
    counted = reply.parse()
    answer = client.responses.create(model="hello", input="Who are you?", max_output_tokens=1)
    assert counted.input_tokens == answer.usage.input_tokens
    ledger.expect(reply.headers["x-request-id"], "count_tokens", prompt_tokens=0,
                  completion_tokens=0)


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert sorted(names) == ["caller", "endless", "hello", "ranker", "vectors"]
    model = client.models.retrieve("hello")
    assert (model.id, model.object, model.owned_by) == ("hello", "model", "gpustack")
    assert model.created > 1700000000


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank", "/v1-openai/rerank"])
def test_rerank(serving, ledger, path):
    reply = serving.user().post(path, {"model": "ranker", "query": "who", "top_n": 2,
                                       "documents": ["one", "two words", "who"]})
    answer = reply.expect(200)
    scores = [item["relevance_score"] for item in answer["results"]]
    assert len(scores) == 2 and scores == sorted(scores, reverse=True)
    ledger.expect(reply.headers["x-request-id"], "rerank", "ranker",
                  prompt_tokens=answer["usage"]["prompt_tokens"], completion_tokens=0)


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_tokens_and_back(serving, ledger, prefix):
    user = serving.user()
    reply = user.post(prefix + "/tokenize", {"model": "hello", "content": "Hi,you"})
    tokens = reply.expect(200)["tokens"]
    ledger.expect(reply.headers["x-request-id"], "tokenize", prompt_tokens=0)
    reply = user.post(prefix + "/detokenize", {"model": "hello", "tokens": tokens})
    assert reply.expect(200)["content"] == "Hi,you"
    ledger.expect(reply.headers["x-request-id"], "tokenize", prompt_tokens=0)


def speak(client):
    client.audio.speech.create(model="hello", voice="alloy", input="Hi")


def transcribe(client):
    client.audio.transcriptions.create(model="hello", file=("a.wav", b"RIFF", "audio/wav"))


def translate(client):
    client.audio.translations.create(model="hello", file=("a.wav", b"RIFF", "audio/wav"))


def draw(client):
    client.images.generate(model="hello", prompt="a cat")


def redraw(client):
    client.images.edit(model="hello", prompt="a cat", image=base64.b64decode(PNG))


def moderate(client):
    client.moderations.create(model="hello", input="Hi")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("call, operation", [
    (speak, "speech"), (transcribe, "transcriptions"), (translate, "translations"),
    (draw, "images"), (redraw, "images"), (moderate, "moderations")])
def test_what_the_engine_lacks_is_its_own_error(client, ledger, call, operation):
    with pytest.raises(openai.APIStatusError) as caught:
        call(client)
    error = caught.value
    assert error.body["message"] and error.body["type"], error.response.text
    assert error.response.headers["content-type"].startswith("application/json")
    ledger.refused(error.request_id, operation, "hello", status=error.status_code,
                   outcome="client_error" if error.status_code < 500 else "engine_error")


def test_embeddings_of_a_chat_model_are_refused_by_the_engine(client, ledger):
    with pytest.raises(openai.InternalServerError, match="support embeddings") as caught:
        client.embeddings.create(model="hello", input="x")
    ledger.refused(caught.value.request_id, "embeddings", "hello", "engine_error", 501)


def test_image_for_a_model_without_eyes_is_refused_by_the_engine(client, ledger):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    with pytest.raises(openai.APIStatusError, match="image input is not supported") as caught:
        ask(client, messages=[{"role": "user", "content": [image]}])
    ledger.refused(caught.value.request_id, "chat", "hello", "engine_error", 500)


def test_pages_of_management_are_no_part_of_it(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.files.list()
    assert caught.value.code == "unknown_url"


# --- errors --------------------------------------------------------------------------------------


def fails(client, kind, **fields):
    with pytest.raises(kind) as caught:
        ask(client, **fields)
    assert type(caught.value) is kind
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    return caught.value


def test_bad_request_of_the_gateway(client):
    error = fails(client, openai.BadRequestError, max_tokens="many")
    assert (error.status_code, error.code) == (400, "invalid_body")
    assert "max_tokens" in error.message


def test_bad_request_of_the_engine(client, ledger):
    error = fails(client, openai.BadRequestError, max_tokens=-5)
    assert "max_tokens" in error.message and error.type == "invalid_request_error"
    ledger.refused(error.request_id, "chat", "hello", "client_error", 400)


def test_wrong_key(serving):
    error = fails(make_client(serving, "sk-wrong"), openai.AuthenticationError)
    assert (error.status_code, error.code) == (401, "invalid_api_key")


def test_key_for_other_models(serving):
    key = serving.make_key({"name": "narrow", "allowed_model_names": ["vectors"]})
    narrow = make_client(serving, key)
    error = fails(narrow, openai.PermissionDeniedError)
    assert (error.status_code, error.code) == (403, "model_not_allowed")
    assert [model.id for model in narrow.models.list()] == ["vectors"]


def test_unknown_model(client):
    error = fails(client, openai.NotFoundError, model="nobody")
    assert (error.status_code, error.code) == (404, "model_not_found")


def test_too_large_a_body(client):
    error = fails(client, openai.APIStatusError,
                  messages=[{"role": "user", "content": "x" * (8 << 20)}])
    assert (error.status_code, error.code) == (413, "request_too_large")


def test_limit_of_the_key(serving, ledger):
    key = serving.make_key({"name": "slow", "requests_per_minute": 1})
    slow = make_client(serving, key)
    reply = slow.chat.completions.with_raw_response.create(model="hello", messages=QUESTION)
    assert reply.headers["x-ratelimit-limit-requests"] == "1"
    ledger.expect(reply.headers["x-request-id"], "chat", usage=openai_usage(reply.parse().usage))
    error = fails(slow, openai.RateLimitError)
    assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
    assert 0 < int(error.response.headers["retry-after"]) <= 60
    assert 0 < int(error.response.headers["retry-after-ms"]) <= 60000
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"
    ledger.refused(error.request_id, "chat", "hello", "limited", 429)


def test_budget_of_the_key(serving, ledger):
    key = serving.make_key({"name": "poor", "token_budget": 10, "budget_period": "never"})
    error = fails(make_client(serving, key), openai.RateLimitError)
    assert (error.status_code, error.code) == (429, "insufficient_quota")
    ledger.refused(error.request_id, "chat", "hello", "limited", 429)


def test_no_instance(serving, client, ledger, make_idle_model):
    make_idle_model("asleep")
    wait_for(lambda: serving.user().get("/v1/models/asleep").status == 200, 5,
             "the gateway knows the model")
    error = fails(client, openai.InternalServerError, model="asleep")
    assert (error.status_code, error.code) == (503, "no_instance_ready")
    assert int(error.response.headers["retry-after"]) > 0
    ledger.refused(error.request_id, "chat", "asleep", "no_instance", 503)


# --- many at once, and clients that leave --------------------------------------------------------


def test_fifty_streams_at_once(serving, ledger):
    async def one(client):
        stream = await client.chat.completions.create(
            model="hello", messages=QUESTION, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        ledger.expect(stream.response.headers["x-request-id"], "chat", is_stream=True,
                      usage=openai_usage(chunks[-1].usage))
        return text_of(chunks)

    async def all_of_them():
        async with make_client(serving, kind=openai.AsyncOpenAI) as client:
            return await asyncio.gather(*(one(client) for _ in range(STREAMS)))

    assert asyncio.run(all_of_them()) == [SENTENCE] * STREAMS


def begin_endless(client, count=5):
    """A stream that would go on for hours, of which a few chunks have come, and its id."""
    stream = client.chat.completions.create(model="endless", messages=QUESTION, stream=True)
    for _ in range(count):
        next(stream)
    return stream, stream.response.headers["x-request-id"]


def expect_aborted(serving, ledger, request):
    wait_engine_free(serving, "endless")
    ledger.expect(request, "chat", "endless", outcome="aborted", aborted_phase="streaming",
                  is_stream=True, is_estimated=True)
    assert ledger.record(request)["completion_tokens"] >= 4


def test_closed_stream_frees_the_engine(serving, client, ledger):
    stream, request = begin_endless(client)
    stream.close()
    expect_aborted(serving, ledger, request)


def test_closed_client_frees_the_engine(serving, ledger):
    client = make_client(serving)
    _, request = begin_endless(client)
    client.close()
    expect_aborted(serving, ledger, request)


def test_late_answer_is_given_up(serving, client, ledger):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(
            model="endless", messages=QUESTION, extra_headers={"X-Request-Id": "given-up-1"})
    wait_engine_free(serving, "endless")
    ledger.expect("given-up-1", "chat", "endless", outcome="aborted", status=0,
                  aborted_phase="waiting", is_estimated=True)
