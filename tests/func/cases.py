# SPDX-License-Identifier: Apache-2.0
"""Cases: what an engine does with a request, and what all who see it must then have seen.

    bench = CaseBench(binary, folder)            # a gateway and scripted engines
    bench.run(Case("chat", "chunks=3", text=3, tokens=(10, 0, 3)))

A case is one request with a script (tests/lib/engine/script.h). Looked at are the answer's status,
headers and body, how the connection ended, what came to the engine, the usage record, and that
nothing is left behind: no request is in flight or queued, no instance has one, and the places of
the concurrent limits are free, of which key, user and model have one each.
"""

import dataclasses
import json
import socket
import typing

import pytest

import scripted
from harness import wait_for
from raw_http import RawClient

CHAT, COMPLETIONS, RESPONSES, MESSAGES = (
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
COUNT = "/v1/messages/count_tokens"
MESSAGE = [{"role": "user", "content": "Go"}]
# What a body has beside the model.
BODIES = {
    CHAT: {"messages": MESSAGE},
    COMPLETIONS: {"prompt": "Go"},
    RESPONSES: {"input": "Go"},
    MESSAGES: {"max_tokens": 100, "messages": MESSAGE},
    COUNT: {"messages": MESSAGE},
    "/v1/embeddings": {"input": "Go"},
    "/v1/rerank": {"query": "Go", "documents": ["a", "b"]},
    "/v2/rerank": {"query": "Go", "documents": ["a", "b"]},
    "/v1/score": {"text_1": "Go", "text_2": "Stop"},
    "/v1/moderations": {"input": "Go"},
    "/v1/tokenize": {"prompt": "Go"},
    "/v1/images/generations": {"prompt": "Go"},
    "/v1/audio/speech": {"input": "Go", "voice": "alloy"},
}
FIRST_BYTE_MS = 60
GUESS = -1                      # tokens of a prompt that nobody counted: a quarter of its bytes


@dataclasses.dataclass
class Case:
    """A request and what becomes of it. What isn't named goes well and has no tokens."""

    name: str
    script: str = ""                    # of the engine, for this request
    # The request.
    path: str = CHAT
    model: str = "m"
    stream: bool = False
    fields: dict = dataclasses.field(default_factory=dict)      # more members of the body
    body: bytes = None                  # instead of all these
    method: str = "POST"
    headers: dict = dataclasses.field(default_factory=dict)     # '_' for '-'; None: without
    raw: bytes = None                   # instead of all: what is sent
    is_reused: bool = False             # the engine's connection was used before
    next: tuple = ()                    # scripts over this one, for the engine's next requests
    # The answer.
    status: int = 200
    code: str = None                    # of our own error, in OpenAI's words
    text: int = None                    # the content of so many events, however it came
    ended: str = "whole"                # else the answer breaks off by "fin" or "rst"
    last: str = "[DONE]"                # data of a stream's last event, or its error's code
    usage: bool = False                 # whether one of its events is OpenAI's usage chunk
    has: dict = dataclasses.field(default_factory=dict)         # headers; None: absent
    check: typing.Callable = None       # (seen), asserts what else there is
    # The engine.
    asked: int = 1                      # requests that came to it
    # The record; `outcome` None: there is none.
    outcome: str = "ok"
    tokens: tuple = (0, 0, 0)           # prompt, cached, completion
    is_estimated: bool = False
    record: dict = dataclasses.field(default_factory=dict)      # more members of it

    def request(self):
        """(body, headers)"""
        headers = {"X_Script": self.script, "X_Request_Id": self.name, **self.headers}
        body = self.body
        if body is None and self.method == "POST":
            members = {"model": self.model, **BODIES[self.path], **self.fields}
            if self.stream:
                members["stream"] = True
            body = json.dumps(members).encode()
        if body is not None:
            headers.setdefault("Content_Type", "application/json")
        return body, headers


@dataclasses.dataclass
class Seen:
    """What one request has shown."""

    case: Case
    status: int
    headers: dict
    body: bytes
    ended: str                  # "whole", or how it broke off
    interim: list               # statuses before
    record: dict = None
    asked: list = None          # entries of the engine's log

    def json(self):
        return json.loads(self.body)

    def events(self):
        """Data of the events, "[DONE]" too."""
        blocks = self.body.replace(b"\r\n", b"\n").split(b"\n\n")
        lines = [line for block in blocks for line in block.split(b"\n")]
        return [line[6:].decode() for line in lines if line.startswith(b"data: ")]

    def members(self):
        """The events that are JSON, read."""
        return [json.loads(data) for data in self.events() if data != "[DONE]"]


def each(cases):
    """Runs a test with each of them, under its name."""
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


# --- what answers say ----------------------------------------------------------------------------


def text_of(members):
    """The content of a response or of one event of a stream, whatever its API."""
    if "choices" in members:
        found = [choice.get("text") or one.get("content") or one.get("reasoning_content") or ""
                 for choice in members["choices"]
                 for one in [choice.get("delta") or choice.get("message") or {}]]
    elif isinstance(members.get("content"), list):
        found = [part["text"] for part in members["content"]]
    elif "output" in members:
        found = [part["text"] for item in members["output"] for part in item["content"]]
    elif isinstance(members.get("delta"), dict):
        found = [members["delta"].get("text", "")]
    else:
        found = [members.get("delta") or ""]
    return "".join(found)


def content(count):
    """The text of so many events of the scripted engine."""
    return "".join(f"{i:04}" for i in range(count))


def code_of(members):
    """What an error object of any dialect is called."""
    error = members["error"]
    return error.get("code") or error["type"]


def is_usage_chunk(members):
    return members.get("choices") == [] and bool(members.get("usage"))


def check_stream(seen):
    case, events, members = seen.case, seen.events(), seen.members()
    assert seen.headers["content-type"].startswith("text/event-stream")
    text = "".join(text_of(one) for one in members)
    assert text == content(case.text), text
    last = events[-1] if events else None
    if last and last != "[DONE]":
        last = code_of(members[-1]) if "error" in members[-1] else members[-1].get("type")
    assert last == case.last, last
    assert any(is_usage_chunk(one) for one in members) == case.usage


def check_error(seen):
    """One of ours has all members of its dialect."""
    case, body = seen.case, seen.json()
    assert seen.headers["content-type"] == "application/json"
    if case.path.startswith(MESSAGES):
        assert (body["type"], body["error"]["type"]) == ("error", case.code), body
        assert body["error"]["message"]
        assert body["request_id"] == seen.headers["x-request-id"]
        return
    assert body["error"].keys() == {"message", "type", "code", "param"}
    assert body["error"]["code"] == case.code, body
    assert body["error"]["message"] and body["error"]["type"]
    if case.path.startswith("/v2/"):
        assert body["message"] == body["error"]["message"]


def check_answer(seen):
    case = seen.case
    assert (seen.status, seen.ended) == (case.status, case.ended), (
        seen.status, seen.ended, seen.body[-500:])
    for name, value in case.has.items():
        assert seen.headers.get(name) == value, (name, seen.headers)
    if case.code:
        check_error(seen)
    elif case.text is not None and "event-stream" in seen.headers.get("content-type", ""):
        check_stream(seen)
    elif case.text is not None:
        assert text_of(seen.json()) == content(case.text), seen.body


def check_record(seen):
    case, record = seen.case, seen.record
    if case.outcome is None:
        assert record is None, record
        return
    assert record, "it left no record"
    prompt, cached, completion = case.tokens
    if prompt == GUESS:
        prompt = (record["request_bytes"] + 3) // 4
    is_stream = seen.status == 200 and "event-stream" in seen.headers.get("content-type", "")
    wanted = {
        "outcome": case.outcome, "status": case.status, "aborted_phase": None,
        "is_stream": is_stream, "is_estimated": case.is_estimated, "prompt_tokens": prompt,
        "cached_tokens": cached, "completion_tokens": completion, "attempts": 1, **case.record}
    found = {name: record[name] for name, value in wanted.items() if record[name] != value}
    assert not found, f"{found} instead of { {name: wanted[name] for name in found} }"
    if seen.body is not None:
        assert record["response_bytes"] == len(seen.body)
    if seen.asked:
        assert record["request_bytes"] == len(case.request()[0] or b"")


# --- the bench -----------------------------------------------------------------------------------


class CaseBench:
    """A gateway with one scripted engine, which is the only instance of these models:

        m         with the limits of one request at a time, and with generic_proxy
        closed    without generic_proxy
        timely    with a first_byte_timeout of FIRST_BYTE_MS
        renamed   known to the engine as "served"
        native    the engine has Anthropic's API; a process of its own
        learning  nobody has asked it for Anthropic's API yet; nor learning-405
        away      it refuses connections
        none      it has no instance
    """

    def __init__(self, binary, folder, queue_timeout=0):
        self.log_path = folder / "access.log"
        self.gw = scripted.ScriptedGateway(
            binary, folder, args=["--access-log", str(self.log_path), "--queue-timeout",
                                  str(queue_timeout)])
        self.records = {}       # request's id -> records
        self.read_bytes = 0     # of the access log
        self.engine = self.gw.add_engine()
        self.native = self.gw.add_engine("messages=1", model="native")
        one = {"concurrent_requests": 1}
        self.gw.change("user", 1, **one)
        self.gw.change("key", 1, **one)
        self.gw.change("model", self.gw.model_id("m"), generic_proxy=True, **one)
        self.gw.change("model", self.gw.model_id("native"), generic_proxy=True)
        self.gw.put("model", id=20, name="timely", first_byte_timeout_ms=FIRST_BYTE_MS)
        self.gw.put("model", id=21, name="none", generic_proxy=True)
        for model in ("closed", "timely", "learning", "learning-405"):
            self.gw.add_endpoint(self.engine.port, model)
        self.gw.add_endpoint(self.engine.port, "renamed", served_name="served")
        self.refusing = socket.socket()     # bound, but it doesn't listen
        self.refusing.bind(("127.0.0.1", 0))
        self.gw.add_endpoint(self.refusing.getsockname()[1], "away")
        self.gw.start()
        for path in (MESSAGES, COUNT):
            self.gw.post(path, **BODIES[path]).expect(200)

    def stop(self):
        """The gateway ends well after all this: a sanitizer would tell of leaks here."""
        self.refusing.close()
        status = self.gw.stop_process()
        self.gw.stop()
        assert status == 0, self.gw.log()[-2000:]

    # --- asking ---

    def connect(self):
        return RawClient(self.gw.port)

    def send(self, client, case):
        body, headers = case.request()
        if case.raw is not None:
            client.send(case.raw)
        else:
            headers.setdefault("Authorization", f"Bearer {self.gw.key}")
            headers = {name: value for name, value in headers.items() if value is not None}
            client.ask(case.method, case.path, body, **headers)

    def answer(self, client, case):
        """Reads one answer; a HEAD's has no body."""
        interim = []
        status, headers = client.head()
        while status < 200:
            interim.append(status)
            status, headers = client.head()
        body, ended = b"", "whole"
        try:
            for piece in client.pieces() if case.method != "HEAD" else ():
                body += piece
        except EOFError:
            body, ended = body + self.broken(client), client.ended
        return Seen(case, status, headers, body, ended, interim)

    @staticmethod
    def broken(client):
        """What came of a body's piece that isn't whole."""
        taken, client.data = client.data, b""
        return taken

    # --- looking ---

    def read_log(self):
        """Takes up what the access log has got."""
        with open(self.log_path, "rb") as log:
            log.seek(self.read_bytes)
            whole, _, _ = log.read().rpartition(b"\n")
        self.read_bytes += len(whole) + bool(whole)
        for line in whole.split(b"\n"):
            if line:
                record = json.loads(line)
                self.records.setdefault(record["request_id"], []).append(record)

    def record(self, request_id, count=1):
        """The record of a request that has ended."""
        def found():
            self.read_log()
            return len(self.records.get(request_id, [])) >= count
        wait_for(found, 5, f"the record of {request_id}", pause=0.001)
        return self.records[request_id][-1]

    def metrics(self):
        """Name with labels -> value, of those that are gauges of requests."""
        lines = self.gw.http().get("/metrics").expect(200).splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name.removeprefix("gpustack_gateway_"): float(value) for name, _, value in pairs}

    def check_nothing_is_left(self):
        """All counts are back, at once: the record is written in the turn in which they go back."""
        left = {name: value for name, value in self.metrics().items() if value and
                name.split("{")[0] in ("requests_in_flight", "queue_depth", "instance_requests")}
        assert not left, left
        # The one place of each limit is free; and no connection is left to be used again.
        probe = Case("probe", "chunks=1 close=say")
        with self.connect() as client:
            self.send(client, probe)
            check_answer(self.answer(client, probe))

    # --- a case ---

    def run(self, case):
        engine = self.native if case.model == "native" else self.engine
        if case.is_reused:
            self.gw.client().post(CHAT, {"model": case.model, "messages": MESSAGE}).expect(200)
        if case.next:
            engine.next(*case.next)
        with self.connect() as client:
            self.send(client, case)
            seen = self.answer(client, case)
        self.finish(engine, seen)
        return seen

    def left(self, case, client):
        """What is seen of a case whose client has left, with what it has read."""
        record = self.record(case.name)
        return Seen(case, case.status, client.headers, None, None, [], record, [])

    def finish(self, engine, seen):
        """Looks at all that an answer has left."""
        name = seen.headers["x-request-id"]
        if seen.case.outcome:
            seen.record = self.record(name)
        self.check_nothing_is_left()
        self.read_log()
        if not seen.case.outcome:
            seen.record = self.records.get(name, [None])[-1]
        engine.wait_idle()
        seen.asked = [one for one in engine.log() if one["headers"].get("x-request-id") == name]
        check_answer(seen)
        check_record(seen)
        assert len(seen.asked) == seen.case.asked, len(seen.asked)
        if seen.case.check:
            seen.case.check(seen)
