#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Behaves like vLLM or MindIE from outside, without devices or weights: takes their arguments, is a
while busy with loading, serves /health and short chat completions. On several workers rank 0 waits
until all others have come, and they end with it.

    install(folder)      # a folder for --bin-dir with mindie_2.0 and vllm_0.11.0; returns it
"""

import argparse
import http.server
import json
import os
import pathlib
import signal
import socket
import sys
import threading

LOADING_S = 0.5
ENGINES = ("mindie_2.0", "vllm_0.11.0")


def install(folder):
    for name in ENGINES:
        home = pathlib.Path(folder) / name
        home.mkdir(parents=True)
        command = [sys.executable, os.path.abspath(__file__)]
        (home / "engine.yaml").write_text(
            json.dumps({"command": command, "rank": {"command": command}}))
    return pathlib.Path(folder)


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")               # vLLM: "serve", the path
    parser.add_argument("--model")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--served-model-name")
    parser.add_argument("--headless", action="store_true")
    parser.add_argument("--rank", "--node-rank", type=int, default=0)
    parser.add_argument("--nnodes", type=int)
    parser.add_argument("--ranks", type=json.loads)
    parser.add_argument("--master-addr", default="127.0.0.1")
    parser.add_argument("--master-port", type=int)
    options, _ = parser.parse_known_args(arguments)
    options.count = options.nnodes or len(options.ranks or [0])
    options.path = options.model or options.words[-1]
    return options


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    is_ready = threading.Event()
    name = ""

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        is_up = self.path == "/health" and self.is_ready.is_set()
        self.answer(200 if is_up else 503 if self.path == "/health" else 404, {})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/chat/completions":
            self.answer(404, {"error": {"message": f"no {self.path} here"}})
            return
        message = {"role": "assistant", "content": f"{self.name} stands in."}
        self.answer(200, {"id": "chatcmpl-1", "object": "chat.completion", "created": 1,
                          "model": self.name,
                          "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                          "usage": {"prompt_tokens": 1, "completion_tokens": 3,
                                    "total_tokens": 4}})


def wait_for_ranks(options):
    """Holds a connection of each other rank."""
    with socket.create_server(("0.0.0.0", options.master_port)) as listener:
        return [listener.accept()[0] for _ in range(options.count - 1)]


def serve(options):
    Handler.name = options.served_model_name
    server = http.server.ThreadingHTTPServer((options.host, options.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    others = wait_for_ranks(options) if options.count > 1 else []
    threading.Event().wait(LOADING_S)
    Handler.is_ready.set()
    print(f"serves {options.path} with {len(others) + 1} ranks", flush=True)
    signal.pause()


def follow(options):
    """Until rank 0 ends; it may come later than this one."""
    while True:
        try:
            main = socket.create_connection((options.master_addr, options.master_port), 1)
            break
        except OSError:
            threading.Event().wait(0.05)
    main.settimeout(None)
    print(f"rank {options.rank} is there", flush=True)
    main.recv(1)


def main():
    options = parse(sys.argv[1:])
    if not os.path.exists(options.path):
        sys.exit(f"there is no {options.path}")
    if options.rank > 0:
        follow(options)
    else:
        serve(options)


if __name__ == "__main__":
    main()
