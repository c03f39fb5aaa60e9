#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine without Anthropic's API: another one behind a relay that has no /v1/messages, and has
/tokenize as vLLM does. It is what engine.yaml names as the command:

    command: [python3, openai_only_engine.py, LLAMA-SERVER, ARGUMENT...]

Which of the requests came is told at GET /relay/paths.
"""

import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

PIECE = 1 << 16


def install(folder, engine_dir):
    """A folder for --bin-dir with the llama.cpp of `engine_dir` behind this relay; returns it."""
    import yaml
    home, = pathlib.Path(engine_dir).glob("llama.cpp_*")
    text = (home / "engine.yaml").read_text().replace("{dir}", str(home))
    parts = yaml.safe_load(text)
    made = pathlib.Path(folder) / "llama.cpp_relayed"
    made.mkdir(parents=True)
    command = [sys.executable, os.path.abspath(__file__), *parts["command"]]
    (made / "engine.yaml").write_text(json.dumps({"command": command, "env": parts["env"]}))
    return made.parent


class Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine_port = 0
    paths = []

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ask(self, path, body):
        """The engine's response, its body unread."""
        connection = http.client.HTTPConnection("127.0.0.1", self.engine_port)
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() in ("authorization", "content-type")}
        connection.request(self.command, path, body, headers)
        return connection.getresponse()

    def count_tokens(self, body):
        response = self.ask("/v1/chat/completions/input_tokens", body)
        value = json.loads(response.read())
        if response.status == 200:
            value = {"count": value["input_tokens"], "max_model_len": 4096, "tokens": []}
        self.answer(response.status, value)

    def relay(self, body):
        response = self.ask(self.path, body)
        self.send_response(response.status)
        self.send_header("Content-Type", response.getheader("Content-Type", "text/plain"))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := response.read1(PIECE):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.paths.append(self.path)
        if self.path.startswith("/v1/messages"):
            self.answer(404, {"detail": "Not Found"})
        elif self.path == "/tokenize":
            self.count_tokens(body)
        else:
            self.relay(body)

    def do_GET(self):
        if self.path == "/relay/paths":
            self.answer(200, self.paths)
            return
        try:
            self.relay(None)
        except ConnectionRefusedError:
            self.answer(503, {"error": "it starts"})


def main():
    arguments = sys.argv[1:]
    where = arguments.index("--port") + 1
    port = int(arguments[where])
    with socket.create_server(("127.0.0.1", 0)) as probe:
        Relay.engine_port = probe.getsockname()[1]
    arguments[where] = str(Relay.engine_port)
    engine = subprocess.Popen(arguments)

    def end(*_):
        engine.terminate()
        os._exit(engine.wait())

    signal.signal(signal.SIGTERM, end)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Relay).serve_forever()


if __name__ == "__main__":
    main()
