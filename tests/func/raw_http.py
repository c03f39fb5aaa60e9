# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 by hand, for tests that look at the bytes and at how a connection ends.

    client = RawClient(port)
    client.ask("POST", "/v1/chat/completions", {"model": "m", "stream": True}, auth=key)
    status, headers = client.head()
    for event in client.events(): ...
    client.reset()                        # leaves with RST; close() with FIN
"""

import json
import socket
import struct


class RawClient:
    def __init__(self, port, timeout=10, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:  # before connect: the window is chosen there
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""           # received and not used yet
        self.ended = None         # "fin" or "rst" once the peer has ended
        self.headers = {}

    # --- out ---

    def send(self, data):
        self.sock.sendall(data)

    def ask(self, method, path, body=None, auth=None, **headers):
        """A whole request; header names have '_' for '-', a dict goes as JSON."""
        self.send(request_bytes(method, path, body, auth, **headers))

    # --- in ---

    def more(self):
        """Receives something; False when the peer has ended."""
        try:
            piece = self.sock.recv(65536)
        except ConnectionResetError:
            self.ended = "rst"
            return False
        if not piece:
            self.ended = "fin"
            return False
        self.data += piece
        return True

    def until(self, mark):
        """Takes all up to and with `mark`."""
        while mark not in self.data:
            if not self.more():
                raise EOFError(f"ended by {self.ended} behind {self.data[-200:]!r}")
        taken, _, self.data = self.data.partition(mark)
        return taken + mark

    def take(self, size):
        while len(self.data) < size:
            if not self.more():
                raise EOFError(f"ended by {self.ended} after {len(self.data)} of {size} bytes")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def rest(self):
        """All to the end of the connection; `ended` then says how."""
        while self.more():
            pass
        taken, self.data = self.data, b""
        return taken

    def head(self):
        """(status, headers with names in lower case) of the next head, interim ones too."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}
        return int(lines[0].split(" ")[1]), self.headers

    def pieces(self):
        """The body behind head(), as it comes."""
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                yield self.take(size + 2)[:-2]
            self.until(b"\r\n")
        elif "content-length" in self.headers:
            yield self.take(int(self.headers["content-length"]))
        else:
            while self.data or self.more():
                piece, self.data = self.data, b""
                yield piece

    def body(self):
        return b"".join(self.pieces())

    def json(self):
        return json.loads(self.body())

    def events(self):
        """The data of server-sent events as text; comments are left out."""
        pending = b""
        for piece in self.pieces():
            pending += piece.replace(b"\r\n", b"\n")
            *whole, pending = pending.split(b"\n\n")
            for event in whole:
                data = [line[6:] for line in event.split(b"\n") if line.startswith(b"data: ")]
                if data:
                    yield b"\n".join(data).decode()

    # --- the end ---

    def close(self):
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request_bytes(method, path, body=None, auth=None, **headers):
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers.setdefault("Content_Type", "application/json")
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    if auth:
        lines.append(f"Authorization: Bearer {auth}")
    if body is not None:
        headers.setdefault("Content_Length", str(len(body)))
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
