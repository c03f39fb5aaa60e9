# SPDX-License-Identifier: Apache-2.0
"""Clients for benchmarks of control: lists at an even rate, and watchers. Each runs in a process of
its own that does little but read, so that it is control that is measured.

Times are those of time.monotonic_ns(), which is the same clock in all processes.
"""

import itertools
import random
import re
import selectors
import socket
import time

LISTS = ("/v2/workers?perPage=20", "/v2/models", "/v2/model-instances?perPage=100")
RECEIVE = 1 << 18
MARK = b"change-%06d"  # what a change writes into a model's description
MARK_AT = re.compile(rb"change-(\d{6})")
MARK_SIZE = len(MARK % 0)


def request(method, target, bearer, body=b""):
    head = (f"{method} {target} HTTP/1.1\r\nHost: control\r\nAuthorization: Bearer {bearer}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
    return head.encode() + body


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def head_length(data):
    """(status, bytes of head and body), or None while the head isn't whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", data[:end + 2])
    return int(data[9:12]), end + 4 + (int(length.group(1)) if length else 0)


def receive(sock):
    """Reads one whole answer: (status, body)."""
    data = b""
    while not (head := head_length(data)) or len(data) < head[1]:
        piece = sock.recv(RECEIVE)
        if not piece:
            raise ConnectionError("closed before its answer was whole")
        data += piece
    return head[0], data[data.find(b"\r\n\r\n") + 4:]


# --- lists ---------------------------------------------------------------------------------------


class ListClient:
    """A kept connection; `sent` is 0 while it is idle."""

    def __init__(self, path):
        self.sock = connect(path)
        self.sent = self.size = self.got = 0

    def send(self, data):
        self.sent, self.size, self.got = time.monotonic_ns(), 0, 0
        self.sock.sendall(data)

    def read(self):
        """The time that the answer took, once it is whole."""
        data = self.sock.recv(RECEIVE)
        if not data:
            raise ConnectionError("control closed the connection of a list")
        now = time.monotonic_ns()
        if not self.size:
            status, self.size = head_length(data)
            assert status == 200, data[:200]
        self.got += len(data)
        if self.got < self.size:
            return None
        took, self.sent = now - self.sent, 0
        return took


def list_until_told(pipe, path, key, rate, times):
    """Asks at an even rate whether or not answers are late: then more connections are opened."""
    requests = [request("GET", target, key) for target in LISTS]
    waiting, idle = selectors.DefaultSelector(), []
    waiting.register(pipe, selectors.EVENT_READ)
    due = time.monotonic_ns()
    while True:
        ready = waiting.select(max(0, due - time.monotonic_ns()) / 1e9)
        for event, _ in ready:
            client = event.data
            if client is None:
                return
            if client in idle:  # it was kept for long enough, control says
                waiting.unregister(client.sock)
                idle.remove(client)
                continue
            sent = client.sent
            took = client.read()
            if took is not None:
                times.append((sent, took))
                idle.append(client)
        if time.monotonic_ns() >= due:
            due += 1_000_000_000 // rate
            if not idle:
                client = ListClient(path)
                waiting.register(client.sock, selectors.EVENT_READ, client)
                idle.append(client)
            idle.pop().send(random.choice(requests))


def run_lists(pipe, path, key, rate):
    """Body of the process; whatever is sent to it ends it. Sends [(sent_ns, took_ns)]."""
    times = []
    try:
        list_until_told(pipe, path, key, rate, times)
    except OSError as error:
        print(f"(lists have ended: {error!r})", flush=True)
    pipe.send(times)


# --- watchers ------------------------------------------------------------------------------------


class Watcher:
    """A stream that notes when each change was first seen in it. Nothing is decoded."""

    def __init__(self, path, key, target):
        self.sock = connect(path)
        self.sock.sendall(request("GET", target, key))
        self.tail = b""
        self.seen = {}  # number of the change: time
        self.bytes = 0

    def read(self):
        data = self.sock.recv(RECEIVE)
        now = time.monotonic_ns()
        if not data:
            raise ConnectionError("control closed a watcher's connection")
        self.bytes += len(data)
        data = self.tail + data
        if b"change-" in data:
            for found in MARK_AT.finditer(data):
                self.seen.setdefault(int(found.group(1)), now)
        self.tail = data[1 - MARK_SIZE:]


def watch_until_told(pipe, watchers):
    """Tells the parent of change 0 when all have seen it: they have caught up then."""
    waiting = selectors.DefaultSelector()
    waiting.register(pipe, selectors.EVENT_READ)
    for watcher in watchers:
        waiting.register(watcher.sock, selectors.EVENT_READ, watcher)
    is_warm = False
    while True:
        for event, _ in waiting.select():
            if event.data is None:
                return
            event.data.read()
        if not is_warm and all(watcher.seen for watcher in watchers):
            is_warm = True
            pipe.send("warm")


def run_watchers(pipe, path, key, targets):
    """Body of the process; whatever is sent to it ends it. Sends ([{number: time_ns}], bytes)."""
    watchers = [Watcher(path, key, target) for target in targets]
    try:
        watch_until_told(pipe, watchers)
    except OSError as error:
        print(f"(watchers have ended: {error!r})", flush=True)
    pipe.send(([watcher.seen for watcher in watchers], sum(watcher.bytes for watcher in watchers)))


# --- changes -------------------------------------------------------------------------------------


class Changes:
    """Changes models one after the other, each with a number of its own."""

    def __init__(self, path, key, models):
        self.sock, self.key = connect(path), key
        self.models = itertools.cycle(models)
        self.sent = {}  # number of the change: time just before it was sent
        self.took = []

    def make(self):
        number = len(self.sent)
        data = request("PUT", f"/v2/models/{next(self.models)}", self.key,
                       b'{"description":"%s"}' % (MARK % number))
        self.sent[number] = time.monotonic_ns()
        self.sock.sendall(data)
        status, body = receive(self.sock)
        self.took.append(time.monotonic_ns() - self.sent[number])
        assert status == 200, body
        return number
