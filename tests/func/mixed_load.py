# SPDX-License-Identifier: Apache-2.0
"""Requests of all kinds, as fast as they go, and what each client saw of its own.

    load = MixedLoad(port, Mix(seed, models=["m"], keys=[key]), count=3000)
    load.start()                       # in a thread of its own
    wait_for(lambda: load.ended > 1000)
    for seen in load.join(): ...       # a Seen per request

The engines are scripted ones: each request says in its body what shall happen to it. A gateway that
can't be connected to is tried again: what was never taken is no request.
"""

import asyncio
import dataclasses
import json
import random
import re
import socket
import struct
import threading
import time

FAULTS = ("status=500", "status=503", "status=400", "cut=head", "cut=body:10 framing=length",
          "cut=chunk:1", "garbage=50", "error_at=1", "done=0 finish=0", "usage=none", "usage=each")
# Shares of a thousand requests.
ABORTED, FAULTY = 120, 80
TIMEOUT = 60   # of a request
REFUSED_S = 60 # a port that refuses so long is nobody's any more


@dataclasses.dataclass(frozen=True)
class Kind:
    """An endpoint."""
    path: str
    body: dict                 # beside the model
    content: object = None     # of an event with content in a stream; None: it doesn't stream
    tells_tokens: bool = True


CHAT = {"messages": [{"role": "user", "content": "Go on and on"}]}
KINDS = {
    "chat": Kind("/v1/chat/completions", CHAT, re.compile(rb'"delta":\{[^}]*"content":"')),
    "completions": Kind("/v1/completions", {"prompt": "Go"}, re.compile(rb'"text":"0')),
    "responses": Kind("/v1/responses", {"input": "Go"},
                      re.compile(rb'"type":"response.output_text.delta"')),
    "messages": Kind("/v1/messages", {**CHAT, "max_tokens": 500},
                     re.compile(rb'"type":"content_block_delta"')),
    "embeddings": Kind("/v1/embeddings", {"input": "words"}),
    "rerank": Kind("/v1/rerank", {"query": "q", "documents": ["a", "b"]}),
    "score": Kind("/score", {"text_1": "a", "text_2": "b"}),
    "moderations": Kind("/v1/moderations", {"input": "words"}, tells_tokens=False),
    "images": Kind("/v1/images/generations", {"prompt": "a cat"}),
    "speech": Kind("/v1/audio/speech", {"input": "words", "voice": "v"}, tells_tokens=False),
    "tokenize": Kind("/tokenize", {"prompt": "Go"}, tells_tokens=False),
}
# Most requests are chats.
NAMES = ["chat"] * 8 + ["completions", "responses", "messages"] * 2 + list(KINDS)


@dataclasses.dataclass
class Request:
    identity: str
    operation: str
    key: str
    body: dict
    is_stream: bool
    leaves_after: int = -1     # events or, of no stream, reads; -1: stays to the end


@dataclasses.dataclass
class Seen:
    """What a client knows. `end`: "done" (a whole response), "left" (by itself), "broken"."""
    request: Request
    end: str
    status: int                # 0: no head came
    content: int               # events with content that came
    is_error: bool             # a stream with an error event
    begin: float               # time.monotonic() when it was sent
    at: float                  # and when it was over


class Mix:
    """A row of random requests, the same for the same seed."""

    def __init__(self, seed, models, keys, chunks=24, delay_ms=0.2, prefix="mix"):
        self.random = random.Random(seed)
        self.models, self.keys, self.prefix = models, keys, prefix
        self.chunks, self.delay_ms = chunks, delay_ms
        self.number = 0

    def next(self):
        draw, self.number = self.random, self.number + 1
        name = draw.choice(NAMES)
        kind = KINDS[name]
        chunks = draw.randint(1, self.chunks) if kind.content else 0
        script = f"chunks={chunks} prompt={draw.randint(1, 999)} delay_ms={self.delay_ms}"
        dice = draw.randrange(1000)
        if ABORTED <= dice < ABORTED + FAULTY:
            script += " " + draw.choice(FAULTS)
        is_stream = bool(kind.content) and draw.random() < 0.6
        body = {"model": draw.choice(self.models), **kind.body, "script": script}
        if is_stream:
            body["stream"] = True
            if name in ("chat", "completions") and draw.random() < 0.3:
                body["stream_options"] = {"include_usage": True}
        leaves = draw.randint(0, chunks) if dice < ABORTED else -1
        return Request(f"{self.prefix}-{self.number}", name, draw.choice(self.keys), body,
                       is_stream, leaves)


class Connection:
    """One client's, kept between its requests."""

    def __init__(self, port):
        self.port = port
        self.reader = self.writer = None

    async def open(self):
        deadline = time.monotonic() + REFUSED_S
        while not self.writer:
            try:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.01)  # it is being started again

    def close(self, reset=False):
        if not self.writer:
            return
        if reset:
            self.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()
        self.reader = self.writer = None

    def send(self, request):
        body = json.dumps(request.body).encode()
        self.writer.write((f"POST {KINDS[request.operation].path} HTTP/1.1\r\nHost: test\r\n"
                           f"Authorization: Bearer {request.key}\r\n"
                           f"X-Request-Id: {request.identity}\r\n"
                           "Content-Type: application/json\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n").encode() + body)

    async def head(self):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0][9:12]), {name.lower(): value.strip() for name, _, value in pairs}

    async def pieces(self, headers):
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                yield (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        else:
            yield await self.reader.readexactly(int(headers["content-length"]))


class Exchange:
    """One request on a connection."""

    def __init__(self, connection, request):
        self.connection, self.request = connection, request
        self.kind = KINDS[request.operation]
        self.status = self.content = 0
        self.body = b""

    async def run(self):
        begin, end = time.monotonic(), "broken"
        try:
            end = await asyncio.wait_for(self.exchange(), TIMEOUT)
        except (OSError, EOFError, asyncio.IncompleteReadError, ValueError):
            self.connection.close()
        is_error = self.request.is_stream and b'"error"' in self.body
        return Seen(self.request, end, self.status, self.content, is_error, begin,
                    time.monotonic())

    async def exchange(self):
        self.connection.send(self.request)
        if self.request.leaves_after == 0:
            await self.connection.writer.drain()
            return self.leave()
        self.status, headers = await self.connection.head()
        async for piece in self.connection.pieces(headers):
            self.body += piece
            if self.kind.content and self.request.is_stream:
                self.content = len(self.kind.content.findall(self.body))
            if 0 < self.request.leaves_after <= self.content:
                return self.leave()
        if headers.get("connection") == "close":
            self.connection.close()
        return "done"

    def leave(self):
        self.connection.close(reset=hash(self.request.identity) % 2 == 0)
        return "left"


class MixedLoad:
    def __init__(self, port, mix, count, clients=32):
        self.port, self.mix, self.count, self.clients = port, mix, count, clients
        self.seen = []
        self.error = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    @property
    def ended(self):
        """Requests that are over so far."""
        return len(self.seen)

    def start(self):
        self.thread.start()
        return self

    def join(self, timeout=600):
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "a request hangs"
        if self.error:
            raise self.error
        return self.seen

    def run(self):
        try:
            asyncio.run(self.all())
        except BaseException as error:  # told by join()
            self.error = error

    async def all(self):
        await asyncio.gather(*(self.client() for _ in range(self.clients)))

    async def client(self):
        connection = Connection(self.port)
        while self.mix.number < self.count:
            request = self.mix.next()
            await connection.open()
            self.seen.append(await Exchange(connection, request).run())
        connection.close()
