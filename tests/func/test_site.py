# SPDX-License-Identifier: Apache-2.0
"""The web UI from the gateway's port: a program with the three files of tests/lib/site in it, byte
by byte, and what tools/pack-site refuses."""

import gzip
import pathlib
import re
import subprocess

import pytest

import scripted

TOP = pathlib.Path(__file__).resolve().parents[2]
DIST = TOP / "tests/lib/site"
PACK = TOP / "tools/pack-site"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
           "Accept-Encoding": "gzip, deflate, br, zstd"}
APP = "/assets/app-5f3a9c.js"
PAGES = ("/", "/overview", "/models", "/deploy", "/catalog", "/instances/7", "/logs", "/workers",
         "/devices", "/model-files", "/playground", "/keys", "/users", "/usage", "/routes",
         "/preferences", "/login")


def content(path):
    return (DIST / path.lstrip("/")).read_bytes()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    program = scripted.build_program("gpustack-tiny-site")
    gateway = scripted.ScriptedGateway(program, tmp_path_factory.mktemp("site"))
    try:
        gateway.start()
        yield gateway.http("none")
    finally:
        gateway.stop()


@pytest.mark.parametrize("path", PAGES)
def test_a_browser_opens_each_page(site, path):
    reply = site.get(path, headers=BROWSER)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["cache-control"] == "no-cache"
    assert gzip.decompress(reply.body) == content("index.html")
    again = site.get(path, headers={**BROWSER, "If-None-Match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/index.html", "/favicon.svg", APP])
def test_files_are_what_was_built(site, path):
    plain = site.get(path)
    assert plain.status == 200 and plain.body == content(path)
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    head = site.request("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(plain.body))
    assert head.headers["etag"] == plain.headers["etag"]


def test_assets_are_kept_for_ever(site):
    reply = site.get(APP, headers=BROWSER)
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert gzip.decompress(reply.body) == content(APP)
    assert len(reply.body) < len(content(APP))


@pytest.mark.parametrize("path", ["/", "/models", APP])
def test_nothing_foreign_runs(site, path):
    headers = site.get(path, headers=BROWSER).headers
    policy = dict(part.strip().split(" ", 1)
                  for part in headers["content-security-policy"].split(";"))
    assert policy == {"default-src": "'self'", "img-src": "'self' data: blob:",
                      "media-src": "'self' data: blob:", "object-src": "'none'",
                      "base-uri": "'none'", "form-action": "'self'", "frame-ancestors": "'none'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/assets/app-000000.js", "/v1/nothing", "/v2", "/auth/",
                                  "/docs/x"])
def test_what_is_not_there_stays_so(site, path):
    reply = site.get(path, headers=BROWSER)
    assert reply.status == 404
    assert "json" in reply.headers["content-type"]


def test_programs_are_not_sent_the_page(site):
    assert site.get("/models", headers={"Accept": "*/*"}).status == 404
    assert site.post("/models", {}, headers=BROWSER).status == 404
    assert site.get("/healthz", headers=BROWSER).text == "ok"
    assert site.get("/metrics", headers=BROWSER).text.startswith("# ")


# --- packing -------------------------------------------------------------------------------------


def pack(dist, folder):
    done = subprocess.run([PACK, dist, folder / "out.c", folder / "out.d"], capture_output=True,
                          text=True)
    return done.returncode, done.stderr


def test_packing_repeats_itself(tmp_path):
    texts = set()
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        assert pack(DIST, folder) == (0, "")
        texts.add((folder / "out.c").read_text())
        assert str(DIST / "assets") in (folder / "out.d").read_text()
    text, = texts
    assert re.findall(r'\{"(/[^"]*)"', text) == [APP, "/favicon.svg", "/index.html"]


@pytest.mark.parametrize("name, data, complaint", [
    ("a.exe", b"x", "no content type for '.exe', only for .css "),
    ("a b.js", b"x", "only letters, digits and ._~- may stand in its name"),
    ("a.js", b"", "is empty"),
])
def test_odd_files_are_refused(tmp_path, name, data, complaint):
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / name).write_bytes(data)
    status, text = pack(tmp_path, tmp_path)
    assert status == 1
    assert text.startswith(f"pack-site: {tmp_path / name}") and complaint in text


def test_a_folder_without_a_site(tmp_path):
    status, text = pack(tmp_path / "none", tmp_path)
    assert status == 1 and "none/index.html is missing: build the UI first" in text
