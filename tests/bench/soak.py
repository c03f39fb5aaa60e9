# SPDX-License-Identifier: Apache-2.0
"""The gateway under a mixed load for half an hour: does it grow, leak descriptors, make mistakes?

    ./bench soak
    SOAK_MINUTES=10 ./bench soak

Threads send requests of every kind to a gateway between a scripted control and scripted engines,
each with a known outcome, while keys, models and endpoints change and control goes and comes back.
Memory and descriptors are looked at after 5 minutes (or half of the time, when that is less) and at
the end, each time when the load has paused and kept connections to engines have ended.
"""

import http.client
import json
import os
import pathlib
import random
import sys
import tempfile
import threading
import time
import traceback

import report
import harness
import scripted

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
WARM_MINUTES = min(5.0, MINUTES / 2)
THREADS = 12
PAUSE_S = 0.02          # between a thread's requests: the load shares the machine with the gateway
CHURN_S = 0.5           # between changes of the state
CHURN_MODELS = 20       # so many changes go to the same model, which is deleted and told anew
CONTROL_AWAY_S = 2
CONTROL_PERIOD_S = 60
ERRORS_SHOWN = 10
KIB, MIB = 1 << 10, 1 << 20
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
GO = [{"role": "user", "content": "Go"}]


class Client:
    """A connection that is kept, as those of applications are; opened anew when it has ended."""

    def __init__(self, port, key):
        self.port, self.key = port, key
        self.connection = None

    def send(self, path, body, headers=None, method="POST"):
        """The response, its body unread. Of a kept connection that has ended a new one is made."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json",
                   **(headers or {})}
        data = json.dumps(body) if isinstance(body, dict) else body
        while True:
            is_kept = self.connection is not None
            self.connection = self.connection or http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=60)
            try:
                self.connection.request(method, path, data, headers)
                return self.connection.getresponse()
            except OSError:
                self.close()
                if not is_kept:
                    raise

    def ask(self, path, body, *statuses, **options):
        """The whole body of a response with one of these statuses (200)."""
        response = self.send(path, body, **options)
        content = response.read()
        assert response.status in (statuses or (200,)), f"{path}: {response.status} {content[:300]}"
        return content

    def events(self, path, body):
        """The data of a stream's events."""
        content = self.ask(path, {**body, "stream": True}).decode()
        return [line[6:] for line in content.split("\n") if line.startswith("data: ")]

    def leave(self):
        """As a client that was killed: with what it hasn't read yet."""
        self.close()

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


# --- what is asked, and what must come -----------------------------------------------------------


def chat(client, rng):
    chunks = rng.randint(1, 60)
    script = f"chunks={chunks} head_ms={rng.randint(0, 5)}"
    answer = json.loads(client.ask(CHAT, {"model": "m", "messages": GO, "script": script}))
    assert answer["usage"]["completion_tokens"] == chunks, answer


def by_route(client, rng):
    client.ask(CHAT, {"model": "alias", "messages": GO})


def stream(client, rng):
    chunks = rng.randint(1, 40)
    events = client.events(CHAT, {"model": "m", "messages": GO,
                                  "script": f"chunks={chunks} delay_ms={rng.choice([0, 0.5, 3])}"})
    assert events[-1] == "[DONE]" and '"usage":{' not in "".join(events), events[-2:]


def stream_with_usage(client, rng):
    events = client.events(CHAT, {"model": "m", "messages": GO, "script": "chunks=20 delay_ms=1",
                                  "stream_options": {"include_usage": True}})
    usage = json.loads(events[-2])["usage"]
    assert usage["completion_tokens"] == 20 and usage["tokens_per_second"] > 0, usage


def responses(client, rng):
    events = client.events("/v1/responses", {"model": "m", "input": "Go"})
    assert json.loads(events[-1])["type"] == "response.completed", events[-1]


def completions(client, rng):
    client.ask("/v1/completions", {"model": "m", "prompt": "Go", "n": 2})


def embeddings(client, rng):
    client.ask("/v1/embeddings", {"model": "m", "input": ["x" * rng.randint(1, 20000)] * 4})


def message(client, rng):
    answer = json.loads(client.ask(MESSAGES, {"model": "m", "messages": GO, "max_tokens": 9}))
    assert answer["type"] == "message" and answer["usage"]["output_tokens"] == 9, answer


def message_stream(client, rng):
    events = client.events(MESSAGES, {"model": "m", "messages": GO, "max_tokens": 12})
    assert json.loads(events[-1])["type"] == "message_stop", events[-1]


def form(client, rng):
    audio = os.urandom(rng.choice([10, 100 * KIB]))
    body = (b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
            b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            + audio + b"\r\n--XX--\r\n")
    client.ask("/v1/audio/transcriptions", body,
               headers={"Content-Type": "multipart/form-data; boundary=XX"})


def large_request(client, rng):
    """Above what is kept in memory."""
    client.ask(CHAT, {"model": "m", "messages": [{"role": "user", "content": "x" * (5 * MIB)}]})


def large_response(client, rng):
    size = rng.choice([100 * KIB, 3 * MIB])
    body = client.ask("/v1/audio/speech", {"model": "m", "input": "Go", "voice": "v",
                                           "script": f"size={size}"})
    assert len(body) == size, len(body)


def slow_reader(client, rng):
    """Takes the response in small pieces, so that the engine has to wait."""
    response = client.send("/v1/audio/speech", {"model": "m", "input": "Go", "voice": "v",
                                                "script": f"size={4 * MIB}"})
    got = 0
    while piece := response.read(256 * KIB):
        got += len(piece)
        time.sleep(0.005)
    assert got == 4 * MIB, got


def abort_stream(client, rng):
    response = client.send(CHAT, {"model": "m", "messages": GO, "stream": True,
                                  "script": "chunks=100000 delay_ms=2"})
    response.read(rng.randint(1, 3000))
    client.leave()


def abort_waiting(client, rng):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    connection.request("POST", CHAT, json.dumps({"model": "m", "messages": GO,
                                                 "script": "head_ms=60000"}),
                       {"Authorization": f"Bearer {client.key}"})
    time.sleep(rng.random() / 20)
    connection.close()


def abort_request(client, rng):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    connection.putrequest("POST", CHAT)
    connection.putheader("Authorization", f"Bearer {client.key}")
    connection.putheader("Content-Length", str(6 * MIB))
    connection.endheaders(b'{"model":"m","x":"' + b"x" * rng.choice([10, 5 * MIB]))
    connection.close()


def broken_stream(client, rng):
    how = rng.choice(["cut=chunk:3", "cut=chunk:3 by=rst", "done=0 finish=0", "error_at=2"])
    content = client.ask(CHAT, {"model": "faulty", "messages": GO, "stream": True, "script": how},
                         200, 503)
    assert b"error" in content, content[-300:]


def broken_answer(client, rng):
    """The client's response breaks off, or it is an error."""
    how = rng.choice(["cut=head:9", "garbage=500", "cut=body:9", "status=500", "status=503",
                      "header_bytes=90000", "bad_chunk=0 framing=chunked"])
    try:
        response = client.send(CHAT, {"model": "faulty", "messages": GO, "script": how})
        response.read()
        assert response.status >= 500, f"{how}: {response.status}"
    except (http.client.HTTPException, OSError):
        assert "body" in how or "chunk" in how, how
    finally:
        client.close()


def refused(client, rng):
    """What no engine gets to see."""
    client.ask(CHAT, {"model": "nobody", "messages": GO}, 404)
    client.ask(CHAT, b'{"model": "m", "stream": 1}', 400)
    client.ask("/v1/nothing", {}, 404)
    client.ask(CHAT, {"model": "limited", "messages": GO}, 200, 429)
    client.ask(CHAT, {"model": "m"}, 401, headers={"Authorization": "Bearer wrong"})


def reads(client, rng):
    for path in ("/v1/models", "/metrics", "/healthz", "/v1/models/m"):
        client.ask(path, None, method="GET")


KINDS = {chat: 20, by_route: 4, stream: 20, stream_with_usage: 8, responses: 4, completions: 4,
         embeddings: 6, message: 4, message_stream: 6, form: 4, large_request: 1,
         large_response: 3, slow_reader: 1, abort_stream: 6, abort_waiting: 4, abort_request: 2,
         broken_stream: 3, broken_answer: 3, refused: 4, reads: 4}


# --- the load ------------------------------------------------------------------------------------


class Load:
    """Threads that ask, and one that changes the state; each may be paused."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.key = gateway.key
        self.requests, self.records, self.errors = 0, 0, []
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = []

    def begin(self):
        self.ending.clear()
        works = [(self.ask, (number,)) for number in range(THREADS)]
        works += [(self.churn, ()), (self.control_away, ())]
        self.threads = [threading.Thread(target=self.guard, args=work) for work in works]
        for thread in self.threads:
            thread.start()

    def pause(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        for engine in self.gateway.engines:
            engine.wait_idle(60)

    def guard(self, work, arguments):
        try:
            work(*arguments)
        except Exception:  # the thread's end is an error of its own
            self.note(traceback.format_exc())

    def note(self, text):
        with self.lock:
            self.errors.append(text)
            if len(self.errors) <= ERRORS_SHOWN:
                print(text, flush=True)

    def ask(self, number):
        rng = random.Random(time.monotonic_ns() + number)
        kinds, weights = list(KINDS), list(KINDS.values())
        client = Client(self.gateway.port, self.key)
        while not self.ending.wait(PAUSE_S):
            kind = rng.choices(kinds, weights)[0]
            try:
                kind(client, rng)
            except (AssertionError, OSError, ValueError, KeyError, IndexError,
                    http.client.HTTPException):
                self.note(f"{kind.__name__}: {traceback.format_exc(limit=2)}")
                client.close()
            with self.lock:
                self.requests += 1
        client.close()

    def churn(self):
        """Objects come and go under ever new ids, as they do in a cluster's life; models less often
        than keys and instances, for up to 1000 names stay in the metrics."""
        rng = random.Random(7)
        engine = self.gateway.engines[0]
        model = 0
        while not self.ending.wait(CHURN_S):
            number = self.gateway.next_id()
            if not model or number % CHURN_MODELS == 0:
                model = number
            self.gateway.put("model", sync=False, id=model, name=f"model-{model}",
                             requests_per_minute=rng.randint(1, 100))
            self.gateway.put("endpoint", sync=False, id=number, name=f"e-{number}", model_id=model,
                             local_port=engine.port, netns_id=scripted.netns_id())
            value, members = scripted.make_key()
            self.gateway.put("key", sync=False, id=number, token_budget=1000,
                             budget_period="hour", **members)
            if self.ending.wait(CHURN_S):
                break # what it leaves is little, and the same each time
            client = Client(self.gateway.port, value)
            client.ask(CHAT, {"model": f"model-{model}", "messages": GO, "max_tokens": 4}, 200, 429)
            client.close()
            for kind, identity in (("key", number), ("endpoint", number), ("model", model)):
                with self.gateway.control.news:
                    self.gateway.control.delete(kind, identity)

    def control_away(self):
        """Now and then control is away for a while, and what it keeps for the tests is let go."""
        control = self.gateway.control
        while not self.ending.wait(CONTROL_PERIOD_S):
            control.stop()
            self.ending.wait(CONTROL_AWAY_S)
            control.start()
            self.take_records()
            for engine in self.gateway.engines:
                engine.reset()

    def take_records(self):
        control = self.gateway.control
        with control.news:
            self.records += len(control.records)
            control.records.clear()

    def lost_records(self):
        """Of the records with a number, those that control never got."""
        control = self.gateway.control

        def all_sent():
            page = self.gateway.client().get("/metrics").expect(200)
            return "gpustack_gateway_journal_unsent_records 0\n" in page
        harness.wait_for(all_sent, 30, "all records are with control")
        self.take_records()
        return max(control.applied.values()) - self.records


# --- the gateway as it is seen from outside ------------------------------------------------------


def rss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / KIB
    raise ValueError(f"process {pid} has no memory")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def look(gateway, minute):
    """Memory and descriptors once these have been the same for longer than connections to engines
    are kept."""
    since, count = time.monotonic(), descriptors(gateway.pid)
    while time.monotonic() - since < 6:
        time.sleep(0.2)
        if descriptors(gateway.pid) != count:
            since, count = time.monotonic(), descriptors(gateway.pid)
    memory = rss_mib(gateway.pid)
    print(f"minute {minute:g}: {memory:.1f} MiB, {count} descriptors", flush=True)
    return memory, count


def make_gateway(folder):
    gateway = scripted.ScriptedGateway(report.BINARY, folder, threads=2,
                                       args=["--access-log", "/dev/null"])
    for model in ("m", "m", "faulty", "limited"):
        gateway.add_engine(model=model)
    gateway.change("model", gateway.model_id("limited"), requests_per_minute=30)
    gateway.put("route", name="alias",
                targets=[{"model_id": gateway.model_id("m"), "weight": 1}])
    return gateway.start()


def main():
    out = report.Report()
    with tempfile.TemporaryDirectory() as folder:
        gateway = make_gateway(folder)
        load = Load(gateway)
        try:
            looks = []
            for minutes, minute in ((WARM_MINUTES, WARM_MINUTES),
                                    (MINUTES - WARM_MINUTES, MINUTES)):
                load.begin()
                time.sleep(minutes * 60)
                load.pause()
                looks.append(look(gateway, minute))
            lost = load.lost_records()
            print(f"{load.requests} requests, {load.records} records, {lost} of them lost")
        finally:
            load.ending.set()
            gateway.stop()
    (memory, fds), (memory_end, fds_end) = looks
    out.add("soak_rss_growth_mib", memory_end - memory, "MiB", "<=", 2)
    out.add("soak_fd_growth", fds_end - fds, "", "<=", 0)
    out.add("soak_errors", len(load.errors) + lost, "", "==", 0)
    sys.exit(out.status())


if __name__ == "__main__":
    main()
