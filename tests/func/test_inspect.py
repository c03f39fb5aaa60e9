# SPDX-License-Identifier: Apache-2.0
"""gpustack inspect: of files, folders and hubs, over HTTPS too."""

import http.server
import json
import os
import re
import ssl
import subprocess
import threading

import pytest

from test_tls import make_certificate

OK, FAILED, USAGE, UNREACHABLE, DENIED, NOT_FOUND = range(6)


def inspect(binary, *args, status=OK, **env):
    """Standard output, or the error's sentence when it is expected to fail."""
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith(("GPUSTACK_", "HF_", "MODELSCOPE_", "XDG_"))}
    clean.update(env, HOME="/nonexistent")
    done = subprocess.run([binary, "inspect", *map(str, args)], env=clean, text=True,
                          capture_output=True, timeout=40)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    if status == OK:
        return done.stdout
    assert done.stderr.startswith("gpustack inspect: ")
    return done.stderr.removeprefix("gpustack inspect: ").strip()


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub with one repository; files are redirected to /cdn/, and sent by ranges only."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        content = self.server.content
        if self.path.startswith("/api/models/acme/tiny-GGUF/tree/main"):
            files = [{"type": "file", "path": "tiny.gguf", "size": len(content)}]
            self.reply(200, json.dumps(files).encode())
        elif self.path.startswith("/acme/tiny-GGUF/resolve/main/tiny.gguf"):
            self.reply(302, Location="/cdn/tiny.gguf?signature=1")
        elif self.path.startswith("/downgrade/"):
            self.reply(302, Location=f"http://localhost:{self.server.server_address[1]}/cdn/x")
        elif self.path.startswith("/cdn/"):
            first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)",
                                                self.headers["Range"]).groups())
            part = content[first:last + 1]
            self.reply(206, part,
                       Content_Range=f"bytes {first}-{first + len(part) - 1}/{len(content)}")
        else:
            self.reply(404)


@pytest.fixture(scope="module")
def hub(demo_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    make_certificate(folder, "hub")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.content = demo_model.read_bytes()
    server.seen = []
    server.url = f"https://localhost:{server.server_address[1]}"
    server.chain = folder / "chain.pem"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_file(gpustack_binary, demo_model):
    text = inspect(gpustack_binary, demo_model)
    assert re.search(r"^architecture +llama$", text, re.M)
    assert re.search(r"^cache +256 bytes a token \(16 bits\)$", text, re.M)
    shape = json.loads(inspect(gpustack_binary, "--json", demo_model))
    assert shape["format"] == "gguf" and shape["kind"] == "llm"
    assert shape["quantization"] == "F32" and shape["kv_bytes_per_token"] == 256
    assert shape["file_bytes"] == demo_model.stat().st_size
    assert sum(group["bytes"] * group["count"] for group in shape["layers"]) + \
        shape["input_bytes"] + shape["output_bytes"] + shape["other_bytes"] == \
        shape["tensor_bytes"] == shape["parameter_count"] * 4


def test_one_of_a_folder(gpustack_binary, demo_model, tmp_path):
    for name in ("m-Q4_K_M.gguf", "m-Q8_0.gguf"):
        (tmp_path / name).symlink_to(demo_model)
    refusal = inspect(gpustack_binary, tmp_path, status=FAILED)
    assert refusal.endswith("there are 2 models, name one of them: m-Q4_K_M.gguf, m-Q8_0.gguf")
    assert "llama" in inspect(gpustack_binary, tmp_path, "--file", "*Q8_0*")
    assert "matches" in inspect(gpustack_binary, tmp_path, "--file", "x", status=NOT_FOUND)


def test_what_is_no_model(gpustack_binary, demo_model, tmp_path):
    assert "/nope" in inspect(gpustack_binary, "/nope", status=NOT_FOUND)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(demo_model.read_bytes()[:-1])
    assert "it was cut off" in inspect(gpustack_binary, broken, status=FAILED)
    broken.write_bytes(b"not a model")
    assert "doesn't begin with GGUF" in inspect(gpustack_binary, broken, status=FAILED)
    assert "must be like hf:OWNER/REPO" in inspect(gpustack_binary, "hf:x", status=FAILED)
    assert "usage" in inspect(gpustack_binary, status=USAGE)


def test_a_repository_over_https(gpustack_binary, hub):
    hub.seen.clear()
    shape = json.loads(inspect(gpustack_binary, "--json", "--ssl-ca-file", hub.chain,
                               "hf:acme/tiny-GGUF", HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret"))
    assert shape["architecture"] == "llama" and shape["file_bytes"] == len(hub.content)
    assert [path.split("?")[0] for path, _ in hub.seen] == [
        "/api/models/acme/tiny-GGUF/tree/main", "/acme/tiny-GGUF/resolve/main/tiny.gguf",
        "/cdn/tiny.gguf"]
    assert {headers["Authorization"] for _, headers in hub.seen} == {"Bearer hf_secret"}
    assert hub.seen[-1][1]["Range"] == "bytes=0-524287"


def test_a_url_over_https(gpustack_binary, hub):
    url = f"{hub.url}/acme/tiny-GGUF/resolve/main/tiny.gguf"
    hub.seen.clear()
    assert "llama" in inspect(gpustack_binary, "--ssl-ca-file", hub.chain, url, HF_TOKEN="secret")
    assert all("Authorization" not in headers for _, headers in hub.seen)
    missing = inspect(gpustack_binary, "--ssl-ca-file", hub.chain, f"{hub.url}/x/missing.gguf",
                      status=NOT_FOUND)
    assert missing == f"{hub.url}/x/missing.gguf doesn't exist"


def test_signatures_are_not_shown(gpustack_binary, hub):
    url = f"{hub.url}/cdn/tiny.gguf"
    refusal = inspect(gpustack_binary, "--ssl-ca-file", hub.chain, f"{url}?signature=secret",
                      "--file", "x", status=NOT_FOUND)
    assert refusal == f'{url}: no .gguf file matches "x"'


def test_redirects_stay_encrypted(gpustack_binary, hub):
    refusal = inspect(gpustack_binary, "--ssl-ca-file", hub.chain, f"{hub.url}/downgrade/x.gguf",
                      status=FAILED)
    assert "redirects from https to http" in refusal


def test_certificates_are_checked(gpustack_binary, hub):
    refusal = inspect(gpustack_binary, f"{hub.url}/cdn/tiny.gguf", status=FAILED)
    assert "certificate refused" in refusal
