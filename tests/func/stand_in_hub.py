# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Hugging Face and ModelScope, with a second port for a CDN that files lead to.

    with StandInHub() as hub:
        hub.add("acme/small", "model-Q8_0.gguf", content)
        env = {"HF_ENDPOINT": hub.url, "MODELSCOPE_ENDPOINT": hub.url}
        hub.cut_after = 1000        # the next answer with a file's content breaks off there, once
        hub.failures = 3            # so many requests for content get status 500
        hub.rate = 1_000_000        # bytes per second of each answer
        ...
        assert hub.count("/resolve/") == 1

Both hubs are on one address; they differ by their paths. Whatever is set holds from the next
request on, and may be set at any time from any thread."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 64 << 10
LFS_FROM = 4096  # smaller files are plain git objects, as on the hubs


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: StandInHub
    is_cdn = False

    def handle_error(self, request, client_address):
        pass  # connections that break are what tests are made of


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        hub = self.server.hub
        path, _, query = self.path.partition("?")
        path = urllib.parse.unquote(path)
        with hub.lock:
            hub.requests.append((path, self.headers.get("Range"),
                                 self.headers.get("Authorization")))
        if self.server.is_cdn:
            self._content(path)
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._json(401, {"error": "Invalid credentials"})
        else:
            self._api(path, urllib.parse.parse_qs(query))

    def _api(self, path, query):
        hub = self.server.hub
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            self._revision(found[1])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            self._tree(found[1])
        elif found := re.fullmatch(r"/api/v1/models/([^/]+/[^/]+)/repo/files", path):
            self._modelscope_files(found[1])
        elif found := re.fullmatch(r"(?:/models)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            if hub.find(found[1], found[3]) is None:
                self._json(404, {"error": "Entry not found"})
            elif hub.uses_cdn:
                file = urllib.parse.quote(found[3])
                self._redirect(f"{hub.cdn_url}/{found[1]}/{file}?sig=s3cret")
            else:
                self._content(f"/{found[1]}/{found[3]}")
        else:
            self._json(404, {"error": "Not found"})

    def _revision(self, repo):
        hub = self.server.hub
        if repo not in hub.repos:
            self._json(404, {"error": "Repository not found"})
        else:
            self._json(200, {"id": repo, "sha": hub.revision(repo)})

    def _tree(self, repo):
        hub = self.server.hub
        if repo not in hub.repos:
            self._json(404, {"error": "Repository not found"})
            return
        items = []
        for name, content in sorted(hub.repos[repo].items()):
            item = {"type": "file", "path": name, "size": len(content), "oid": _git_id(content)}
            if len(content) >= LFS_FROM:
                sha256 = hashlib.sha256(content).hexdigest()
                item["oid"] = hashlib.sha1(sha256.encode()).hexdigest()  # of the pointer
                item["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
            items.append(item)
        self._json(200, items)

    def _modelscope_files(self, repo):
        hub = self.server.hub
        if repo not in hub.repos:
            self._json(404, {"Code": 10010205001, "Message": "record not found"})
            return
        files = [{"Type": "blob", "Path": name, "Name": name.rpartition("/")[2],
                  "Size": len(content), "Sha256": hashlib.sha256(content).hexdigest(),
                  "Revision": hub.revision(repo)}
                 for name, content in sorted(hub.repos[repo].items())]
        self._json(200, {"Code": 200, "Success": True,
                         "Data": {"Files": files, "LatestCommitter": {}}})

    def _json(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _redirect(self, url):
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _content(self, path):
        hub = self.server.hub
        _, owner, name, file = path.split("/", 3)
        content = hub.find(f"{owner}/{name}", file)
        if content is None:
            self._json(404, {"error": "Not found"})
            return
        with hub.lock:
            fails = hub.failures > 0
            hub.failures -= fails
            cut, hub.cut_after = hub.cut_after, None
        if fails:
            self._json(500, {"error": "Internal error"})
            return
        if hub.spoils:
            content = bytes([content[0] ^ 1]) + content[1:] if content else content
        first, last = self._range(len(content))
        if first >= len(content) and content:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        is_part = self.headers.get("Range") is not None and hub.knows_ranges
        self.send_response(206 if is_part else 200)
        if is_part:
            self.send_header("Content-Range", f"bytes {first}-{last - 1}/{len(content)}")
        self.send_header("Content-Length", str(last - first))
        self.end_headers()
        self._body(content[first:last], cut)

    def _range(self, size):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted or not self.server.hub.knows_ranges:
            return 0, size
        return int(wanted[1]), min(int(wanted[2]) + 1, size) if wanted[2] else size

    def _body(self, body, cut):
        hub = self.server.hub
        end = len(body) if cut is None else min(cut, len(body))
        at = 0
        while at < end:
            piece = PIECE if not hub.rate else min(PIECE, max(1, hub.rate // 20))
            part = body[at:min(at + piece, end)]
            self.wfile.write(part)
            with hub.lock:
                hub.bytes_sent += len(part)
            at += len(part)
            if hub.rate:
                hub.stopping.wait(len(part) / hub.rate)  # this is the throttle, not a wait
        if end < len(body):
            self.close_connection = True


class StandInHub:
    def __init__(self):
        self.repos: dict[str, dict[str, bytes]] = {}
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.requests: list[tuple[str, str | None, str | None]] = []  # path, Range, Authorization
        self.bytes_sent = 0  # of files
        self.token: str | None = None  # what requests to the hub must carry; 401 for others
        self.rate = 0  # bytes per second of an answer with content; 0: as fast as it goes
        self.cut_after: int | None = None  # the next such answer breaks off after so many bytes
        self.failures = 0  # so many requests for content are answered with 500
        self.spoils = False  # content isn't what its checksum says
        self.knows_ranges = True
        self.uses_cdn = True
        self._servers = [self._serve(False), self._serve(True)]
        self.url, self.cdn_url = (f"http://127.0.0.1:{s.server_address[1]}" for s in self._servers)

    def _serve(self, is_cdn):
        server = _Server(("127.0.0.1", 0), _Handler)
        server.hub, server.is_cdn = self, is_cdn
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()
        return server

    def add(self, repo: str, name: str, content: bytes) -> None:
        self.repos.setdefault(repo, {})[name] = content

    def find(self, repo: str, name: str) -> bytes | None:
        return self.repos.get(repo, {}).get(name)

    def revision(self, repo: str) -> str:
        """Changes with the repository's content, as a commit does."""
        text = "".join(f"{name} {_git_id(content)}\n"
                       for name, content in sorted(self.repos[repo].items()))
        return hashlib.sha1(text.encode()).hexdigest()

    def count(self, part: str) -> int:
        """How many requests had that in their path, CDN's included."""
        with self.lock:
            return sum(part in path for path, _, _ in self.requests)

    @property
    def env(self) -> dict[str, str]:
        """What a worker's environment needs to use this hub."""
        return {"HF_ENDPOINT": self.url, "MODELSCOPE_ENDPOINT": self.url}

    def close(self):
        self.stopping.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
