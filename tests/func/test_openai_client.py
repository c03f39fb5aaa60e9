# SPDX-License-Identifier: Apache-2.0
"""The gateway as applications see it: openai-python against a real engine."""

import openai
import pytest

from conftest import SENTENCE
from harness import wait_for

QUESTION = [{"role": "user", "content": "Who are you?"}]


@pytest.fixture(scope="module")
def embedding(serving, demo_model):
    """A second model, "vectors", whose engine makes embeddings."""
    serving.deploy("vectors", demo_model, categories=["embedding"],
                   backend_parameters=["--embeddings", "--pooling=mean"])
    yield "vectors"
    serving.delete_model("vectors")


def make_client(cluster, key=None, prefix="/v1"):
    return openai.OpenAI(base_url=cluster.url + prefix, api_key=key or cluster.api_key(),
                         max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def client(serving):
    return make_client(serving)


def test_chat_is_answered(client):
    answer = client.chat.completions.create(model="hello", messages=QUESTION)
    assert answer.choices[0].message.content.strip() == SENTENCE
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "hello"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_is_streamed(client):
    chunks = list(client.chat.completions.create(model="hello", messages=QUESTION, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip() == SENTENCE
    assert len(chunks) > 10, "token by token"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks), "nobody asked for it"


def test_last_chunk_has_the_usage_when_it_is_asked_for(client):
    chunks = list(client.chat.completions.create(model="hello", messages=QUESTION, stream=True,
                                                 stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 10
    assert sum(chunk.usage is not None for chunk in chunks) == 1


def test_completion_is_answered(client):
    answer = client.completions.create(model="hello", prompt="Who are you?\n", max_tokens=64)
    assert answer.choices[0].text.strip() == SENTENCE


def test_completion_is_streamed(client):
    stream = client.completions.create(model="hello", prompt="Hi\n", max_tokens=64, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream).strip() == SENTENCE


def test_embeddings_are_made(client, embedding):
    answer = client.embeddings.create(model=embedding, input=["one", "two words"])
    assert [item.index for item in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) == 256
    assert answer.data[0].embedding != answer.data[1].embedding


def test_models_are_listed(client, embedding):
    assert sorted(model.id for model in client.models.list()) == ["hello", embedding]
    assert client.models.retrieve("hello").owned_by == "gpustack"


def test_v1_openai_is_an_alias(serving):
    client = make_client(serving, prefix="/v1-openai")
    answer = client.chat.completions.create(model="hello", messages=QUESTION)
    assert answer.choices[0].message.content.strip() == SENTENCE
    assert [model.id for model in client.models.list()]


@pytest.mark.parametrize("key", ["wrong", f"gpustack_{'a' * 16}_{'b' * 32}"])
def test_wrong_key_is_an_authentication_error(serving, key):
    with pytest.raises(openai.AuthenticationError) as caught:
        make_client(serving, key).chat.completions.create(model="hello", messages=QUESTION)
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        make_client(serving, key).models.list()


def test_key_with_a_wrong_secret_is_refused(serving):
    key = serving.api_key()
    forged = key[:-1] + ("0" if key[-1] != "0" else "1")
    with pytest.raises(openai.AuthenticationError):
        make_client(serving, forged).models.list()


def test_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody", messages=QUESTION)
    assert caught.value.code == "model_not_found"
    assert "nobody" in caught.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_model_without_an_instance_says_when_to_come_back(serving, client, demo_model):
    serving.deploy("asleep", demo_model, replicas=0)
    try:
        wait_for(lambda: serving.user().get("/v1/models/asleep").status == 200, 5,
                 "the gateway knows the model")
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="asleep", messages=QUESTION)
        assert caught.value.status_code == 503
        assert caught.value.code == "no_instance_ready"
        assert int(caught.value.response.headers["retry-after"]) > 0
        assert "asleep" not in [model.id for model in client.models.list()]
    finally:
        serving.delete_model("asleep")


@pytest.mark.parametrize("body, code", [
    (b"", "invalid_body"),
    (b"<html></html>", "invalid_body"),
    (b'{"messages":[]}', "invalid_body"),
    (b'{"model":7}', "invalid_body"),
    (b'{"model":"hello"', "invalid_body"),
    (b'["hello"]', "invalid_body"),
])
def test_faulty_body_is_a_bad_request_in_openai_form(serving, body, code):
    reply = serving.user().post("/v1/chat/completions", body,
                                headers={"Content-Type": "application/json"})
    assert reply.status == 400
    assert reply.json()["error"]["code"] == code
    assert reply.json()["error"]["message"]


def test_too_large_a_body_is_refused(make_cluster, demo_model):
    cluster = make_cluster(args=["--max-request-body", "1"]).start()
    cluster.deploy("hello", demo_model)
    body = b'{"model": "hello", "prompt": "' + b"x" * (1 << 20) + b'"}'
    try:
        reply = cluster.user().post("/v1/completions", body)
        assert reply.status == 413 and reply.json()["error"]["code"] == "request_too_large"
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was refused by its announced length and hung up on before it was all sent
    assert cluster.chat("hello").strip() == SENTENCE


def test_fault_that_the_engine_finds_is_an_openai_exception(client):
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="hello", messages="not a list")
    assert 400 <= caught.value.status_code <= 500


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/v1/nothing", 404),
    ("DELETE", "/v1/chat/completions", 405),
    ("POST", "/v1/models", 405),
])
def test_unknown_path_or_method_is_an_error_in_openai_form(serving, method, path, status):
    reply = serving.user().request(method, path)
    assert reply.status == status
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert (status == 405) == ("allow" in reply.headers)


def test_request_id_comes_back(serving):
    reply = serving.user().post("/v1/chat/completions", {"model": "hello", "messages": QUESTION},
                                headers={"X-Request-ID": "from-a-client-7"})
    assert reply.status == 200
    assert reply.headers["x-request-id"] == "from-a-client-7"
