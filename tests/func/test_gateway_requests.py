# SPDX-License-Identifier: Apache-2.0
"""Requests out of the ordinary, and what of them comes to an engine: bodies of all sizes and
faults, forms, headers, credentials, a model's own paths, old and eager HTTP.

cases.py says what is looked at in each case.
"""

import hashlib
import json

import pytest

from cases import (CHAT, COMPLETIONS, COUNT, GUESS, MESSAGES, Case, CaseBench, content, each,
                   text_of)

FORMS = "/v1/audio/transcriptions"
MIB = 1 << 20


@pytest.fixture(scope="module")
def bench(gpustack_binary, tmp_path_factory):
    made = CaseBench(gpustack_binary, tmp_path_factory.mktemp("cases"))
    yield made
    made.stop()


def refused(name, status, code, *args, **members):
    """One of our own errors, for which no engine was asked; a record only where it says so."""
    members = {"asked": 0, "outcome": None, "record": {"attempts": 0}, **members}
    return Case(name, "", *args, status=status, code=code, **members)


def wants_whole_body(seen):
    """What came to the engine is byte for byte what was sent."""
    sent, _ = seen.case.request()
    assert seen.asked[-1]["digest"] == hashlib.sha256(sent).hexdigest()


# --- bodies that are refused ---------------------------------------------------------------------


def bad(name, body, *args, **members):
    code = "invalid_request_error" if MESSAGES in args else "invalid_body"
    return refused(name, 400, code, *args, body=body, **members)


NAMED = {"outcome": "client_error"}     # the model's name came before the fault
BAD_BODIES = [
    bad("no-json", b"Go"),
    bad("empty", b""),
    bad("array", b'[{"model":"m"}]'),
    bad("cut", b'{"model":"m","messages":[', **NAMED),
    bad("more-behind", b'{"model":"m"} {}', **NAMED),
    bad("model-missing", b'{"messages":[]}'),
    bad("model-twice", b'{"model":"m","model":"closed"}', **NAMED),
    bad("model-twice-apart", b'{"model":"m","messages":[{"model":1}],"model":"m"}', **NAMED),
    bad("model-key-escaped", b'{"mod\\u0065l":"m"}'),
    bad("model-number", b'{"model":7}'),
    bad("model-null", b'{"model":null}'),
    bad("stream-twice", b'{"model":"m","stream":true,"stream":false}', **NAMED),
    bad("stream-string", b'{"model":"m","stream":"true"}', **NAMED),
    bad("cap-string", b'{"model":"m","max_tokens":"9"}', **NAMED),
    bad("nested-300-deep", b'{"model":"m","x":' + b"[" * 300 + b"]" * 300 + b"}", **NAMED),
    bad("no-json-messages", b"Go", MESSAGES),
    bad("no-json-rerank", b"Go", "/v2/rerank"),
    refused("model-unknown", 404, "model_not_found", model="nobody"),
    refused("model-unknown-messages", 404, "not_found_error", MESSAGES, model="nobody"),
    refused("model-unknown-rerank", 404, "model_not_found", "/v2/rerank", model="nobody"),
    refused("path-unknown", 404, "unknown_url", "/v1/nothing", body=b"{}"),
    refused("path-unknown-messages", 404, "not_found_error", "/v1/messages/batches", body=b"{}"),
    refused("get-chat", 405, "method_not_allowed", method="GET", has={"allow": "POST"}),
    refused("put-messages", 405, "invalid_request_error", MESSAGES, method="PUT",
            has={"allow": "POST"}),
    refused("no-key", 401, "invalid_api_key", headers={"Authorization": None},
            has={"www-authenticate": "Bearer"}),
    refused("wrong-key", 401, "invalid_api_key", headers={"Authorization": "Bearer sk-wrong"}),
    refused("wrong-key-messages", 401, "authentication_error", MESSAGES,
            headers={"Authorization": None, "X_API_Key": "sk-wrong"}),
    refused("password", 401, "invalid_api_key", headers={"Authorization": "Basic YTpi"}),
]


@each(BAD_BODIES)
def test_refused_requests(bench, case):
    bench.run(case)


UNSAID = {"outcome": "client_error", "record": {"attempts": 0, "instance_id": 0}}


def untranslatable(name, status, code, model="m", asked=0, **fields):
    """What only the translation finds: it has to do with no instance."""
    return refused(name, status, code, MESSAGES, model=model, fields=fields, asked=asked, **UNSAID)


UNTRANSLATABLE = [
    untranslatable("no-messages", 400, "invalid_request_error", messages=[]),
    untranslatable("no-messages-learning", 400, "invalid_request_error", "learning", 1,
                   messages=[]),
    untranslatable("large-and-wrong", 400, "invalid_request_error", temperature="x" * (220 << 10)),
    untranslatable("large-and-wrong-learning", 400, "invalid_request_error", "learning-405", 1,
                   temperature="x" * (220 << 10)),
    untranslatable("nested-60-deep", 400, "invalid_request_error",
                   x=json.loads("[" * 60 + "]" * 60)),
    untranslatable("a-million-values", 413, "request_too_large", x=[0] * 1_000_000),
    untranslatable("33-mib", 413, "request_too_large", x="x" * (33 * MIB)),
]


@each(UNTRANSLATABLE)
def test_refused_translations(bench, case):
    bench.run(case)


def test_paths_of_messages_are_learnt_one_by_one(bench):
    """An engine may have Messages and no count_tokens."""
    def wants_paths(*paths):
        def check(seen):
            assert [one["path"] for one in seen.asked] == list(paths)
        return check
    bench.native.next("status=404")
    bench.run(Case("count-tokens-learnt", "", COUNT, "native", asked=2,
                   check=wants_paths(COUNT, "/tokenize")))
    bench.run(Case("messages-all-the-same", "chunks=3", MESSAGES, "native", text=3,
                   tokens=(10, 0, 3), check=wants_paths(MESSAGES)))


# --- bodies that are served ----------------------------------------------------------------------


def served(name, script="", *args, **members):
    """Three tokens, out of a body that went to the engine as it is."""
    members = {"text": 3, "tokens": (10, 0, 3), "check": wants_whole_body, **members}
    return Case(name, f"chunks=3 {script}", *args, **members)


def chat_of(size):
    """A body with a prompt of so many bytes."""
    return {"messages": [{"role": "user", "content": "Go on. " * (size // 7)}]}


def chunked(body, piece):
    """The body in chunks, behind a head of a request for a transcript of this bench's key."""
    for at in range(0, len(body), piece):
        part = body[at:at + piece]
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


BODIES = [
    served("spaces", body=b' {\r\n\t"model" : "m" , "messages" : [ ] } \n'),
    served("model-last", body=b'{"messages":[],"x":{"model":"closed"},"model":"m"}'),
    served("model-escaped", body=b'{"model":"\\u006d"}'),
    served("nested-200-deep", body=b'{"model":"m","x":' + b"[" * 200 + b"]" * 200 + b"}"),
    served("no-type", headers={"Content_Type": "text/plain"}),
    served("220-kib", fields=chat_of(220 << 10)),
    served("5-mib", fields=chat_of(5 * MIB)),
    served("5-mib-of-stream", fields=chat_of(5 * MIB), stream=True, check=None),
    served("5-mib-early", "early=1 read=0", fields=chat_of(5 * MIB), check=None, tokens=(10, 0, 3)),
    served("220-kib-early", "early=1 read=0", fields=chat_of(220 << 10), check=None),
    served("5-mib-of-messages", "", MESSAGES, fields=chat_of(5 * MIB), check=None),
    Case("5-mib-refused-early", "early=1 read=0 status=413", fields=chat_of(5 * MIB), status=413,
         outcome="client_error"),
    Case("5-mib-never-read", "read=0", model="timely", fields=chat_of(5 * MIB), status=504,
         code="engine_timeout", outcome="timeout"),
    Case("5-mib-reset", "early=1 read=0 cut=head:0 by=rst", fields=chat_of(5 * MIB), status=502,
         code="engine_failed", outcome="engine_error"),
]


@each(BODIES)
def test_served_bodies(bench, case):
    bench.run(case)


UPLOADS = [
    served("chunked"),
    served("chunked-5-mib", fields=chat_of(5 * MIB)),
    served("expected", headers={"Expect": "100-continue"}),
    served("expected-5-mib", fields=chat_of(5 * MIB), headers={"Expect": "100-continue"}),
    served("byte-by-byte"),
]


@each(UPLOADS)
def test_uploads(bench, case):
    """In chunks, after "100 Continue", and byte by byte."""
    body, headers = case.request()
    is_chunked = case.name.startswith("chunked")
    headers |= {"Authorization": f"Bearer {bench.gw.key}"}
    headers |= {"Transfer_Encoding": "chunked"} if is_chunked else {"Content_Length": len(body)}
    with bench.connect() as client:
        client.ask("POST", CHAT, None, **headers)
        if "Expect" in headers:
            assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        pieces = [body]
        if is_chunked:
            pieces = chunked(body, 100_001)
        elif "Expect" not in headers:
            pieces = [body[i:i + 1] for i in range(len(body))]
        for piece in pieces:
            client.send(piece)
        bench.finish(bench.engine, bench.answer(client, case))


# --- forms ---------------------------------------------------------------------------------------

LINE = "----boundary"


def form(*parts):
    """(name, value) or (name, value, file's name) of each part."""
    body = b""
    for name, value, *file_name in parts:
        about = f'form-data; name="{name}"' + (f'; filename="{file_name[0]}"' if file_name else "")
        body += f"--{LINE}\r\nContent-Disposition: {about}\r\n\r\n".encode() + value + b"\r\n"
    return body + f"--{LINE}--\r\n".encode()


FILE = ("file", bytes(range(256)) * 2000, "speech.wav")
MODEL = ("model", b"m")


def of_form(name, *parts, **members):
    path = members.pop("path", FORMS)
    members = {"headers": {"Content_Type": f"multipart/form-data; boundary={LINE}"},
               "body": form(*parts), **members}
    return Case(name, "usage=none", path, **members)


def wants_served_name(seen):
    """Of a form, the engine got its own name for the model, and the rest as it was."""
    wanted = form(FILE, ("model", b"served"))
    assert seen.asked[-1]["digest"] == hashlib.sha256(wanted).hexdigest()


FORM_CASES = [
    of_form("form-model-before", MODEL, FILE, check=wants_whole_body),
    of_form("form-model-after", FILE, MODEL, check=wants_whole_body),
    of_form("form-renamed", FILE, ("model", b"renamed"), check=wants_served_name,
            record={"model": "renamed"}),
    of_form("form-5-mib", ("file", b"\r\n--" * (5 * MIB // 4), "a.wav"), MODEL,
            check=wants_whole_body),
    of_form("form-of-translations", MODEL, FILE, path="/v1/audio/translations",
            check=wants_whole_body),
    of_form("form-of-edits", MODEL, ("image", b"\x89PNG", "a.png"), path="/v1/images/edits",
            check=wants_whole_body),
    of_form("form-of-variations", ("image", b"\x89PNG", "a.png"), MODEL,
            path="/v1/images/variations", check=wants_whole_body),
    of_form("form-without-model", FILE, status=400, code="invalid_body", asked=0, outcome=None),
    of_form("form-model-twice", MODEL, FILE, MODEL, status=400, code="invalid_body", asked=0,
            outcome="client_error", record={"attempts": 0}),
    of_form("form-model-unknown", ("model", b"nobody"), FILE, status=404, code="model_not_found",
            asked=0, outcome=None),
    of_form("form-cut", MODEL, body=form(MODEL, FILE)[:-30], status=400, code="invalid_body",
            asked=0, outcome="client_error", record={"attempts": 0}),
]


@each(FORM_CASES)
def test_forms(bench, case):
    bench.run(case)


# --- headers -------------------------------------------------------------------------------------


def headers_case(name, headers, came=None, **members):
    """A request with these headers, of which the engine gets what `came` says (None: not)."""
    def check(seen):
        got = seen.asked[-1]["headers"]
        for header, value in (came or {}).items():
            assert got.get(header) == value, (header, got)
    return Case(name, "chunks=3", headers=headers, text=3, tokens=(10, 0, 3), check=check,
                **members)


def wants_made_id(seen):
    made = seen.headers["x-request-id"]
    assert made.startswith("req_") and len(made) == 36
    assert seen.asked[-1]["headers"]["x-request-id"] == made


TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
         "tracestate": "vendor=1"}
HEADERS = [
    headers_case("id-of-the-client", {}, {"x-request-id": "id-of-the-client"},
                 has={"x-request-id": "id-of-the-client"}),
    Case("no-id", "chunks=3", headers={"X_Request_Id": None}, tokens=(10, 0, 3),
         check=wants_made_id),
    Case("too-long-id", "chunks=3", headers={"X_Request_Id": "i" * 129}, tokens=(10, 0, 3),
         check=wants_made_id),
    Case("id-with-a-space", "chunks=3", headers={"X_Request_Id": "a b"}, tokens=(10, 0, 3),
         check=wants_made_id),
    headers_case("trace", TRACE, TRACE),
    headers_case("credentials", {"Cookie": "session=1; other=2", "X_API_Key": "sk-other"},
                 {"authorization": "Bearer instance-token", "cookie": None, "x-api-key": None}),
    headers_case("ours", {"X_GPUStack_Model_Instance": "7", "x_gpustack_user": "admin"},
                 {"x-gpustack-model-instance": None, "x-gpustack-user": None}),
    headers_case("of-this-hop", {"Connection": "keep-alive, X-Hop", "X_Hop": "1", "TE": "trailers",
                                 "Keep_Alive": "timeout=5", "Proxy_Authorization": "Basic YTpi"},
                 {"x-hop": None, "te": None, "keep-alive": None, "proxy-authorization": None}),
    headers_case("encodings", {"Accept_Encoding": "gzip", "Accept": "application/json"},
                 {"accept-encoding": None, "accept": "application/json"}),
    headers_case("forwarded", {"X_Forwarded_For": "192.0.2.1"},
                 {"x-forwarded-for": "192.0.2.1, 127.0.0.1"}),
]


@each(HEADERS)
def test_headers(bench, case):
    bench.run(case)


def test_a_key_as_x_api_key(bench):
    bench.run(headers_case("x-api-key", {"Authorization": None, "X_API_Key": bench.gw.key},
                           {"authorization": "Bearer instance-token", "x-api-key": None}))


def test_a_key_for_other_models(bench):
    key = bench.gw.add_key(allowed_model_names=["closed"])
    for path, code in ((CHAT, "model_not_allowed"), (MESSAGES, "permission_error")):
        bench.run(refused(f"not-allowed{path}", 403, code, path,
                          headers={"Authorization": f"Bearer {key}"}))
    bench.run(served("allowed", model="closed", headers={"Authorization": f"Bearer {key}"},
                     record={"model": "closed"}))


# --- a model's own paths -------------------------------------------------------------------------

OWN = "/model/proxy/m/v1/chat/completions"


def own(name, path="/tokenize", script="", model="m", **members):
    """A request for a path of the model's own."""
    members = {"body": b'{"model":"any","stream":false}', **members}
    return Case(name, script, f"/model/proxy/{model}{path}", **members)


def wants_path(path, method="POST"):
    def check(seen):
        assert (seen.asked[-1]["method"], seen.asked[-1]["path"]) == (method, path)
    return check


def shut(name, path, status=404, code="unknown_url", **members):
    return own(name, path, status=status, code=code,
               **{"asked": 0, "outcome": None, "record": {"attempts": 0}, **members})


OWN_PATHS = [
    own("own", check=wants_path("/tokenize")),
    own("own-with-query", "/tokenize?a=1&b=2", check=wants_path("/tokenize")),
    own("own-put", method="PUT", check=wants_path("/tokenize", "PUT")),
    own("own-delete", method="DELETE", body=None, check=wants_path("/tokenize", "DELETE")),
    own("own-of-an-unknown-path", "/nothing", status=404, outcome="client_error"),
    own("own-with-usage", "/v1/completions", "chunks=3", tokens=(10, 0, 3)),
    own("own-stream", "/v1/chat/completions", "chunks=3 stream=1 usage=always", text=3, usage=True,
        tokens=(10, 0, 3)),
    own("own-5-mib", "/tokenize", body=b"\0" * (5 * MIB), check=wants_whole_body),
    own("own-failed", "/tokenize", "cut=head:0", status=502, code="engine_failed",
        outcome="engine_error"),
    own("own-503", "/tokenize", "status=503", status=503, outcome="engine_error"),
    shut("own-of-none", "/tokenize", 503, "no_instance_ready", model="none",
         outcome="no_instance", has={"retry-after": "5"}),
    shut("own-of-closed", "/tokenize", 403, "proxy_not_enabled", model="closed",
         outcome="client_error"),
    shut("own-of-nobody", "/tokenize", 404, "model_not_found", model="nobody"),
    *[shut(f"own-shut-{path}", path) for path in (
        "/slots", "/v1/load_lora_adapter", "/SLEEP", "/wake-up", "/reset_prefix_cache",
        "/x/../slots", "//slots", "/%73lots", "/slots/", "/")],
]


@each(OWN_PATHS)
def test_a_models_own_paths(bench, case):
    bench.run(case)


# --- old and eager HTTP --------------------------------------------------------------------------


def raw(bench, case, version="1.1", chunks=None):
    """The request's bytes; its body as it is in these chunks, if there are any."""
    body, headers = case.request()
    headers |= {"Authorization": f"Bearer {bench.gw.key}"}
    headers |= {"Transfer_Encoding": "chunked"} if chunks else {"Content_Length": len(body)}
    lines = [f"{case.method} {case.path} HTTP/{version}", "Host: test"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + (chunks or body)


NO_CHUNKS = [
    bad("no-chunk", b'{"model":"m",', has={"connection": "close"}, **NAMED),
    bad("no-chunk-stream", b'{"model":"m","stream":true,', has={"connection": "close"}, **NAMED),
    bad("no-chunk-messages", b'{"model":"m",', MESSAGES, has={"connection": "close"}, **NAMED),
    bad("no-chunk-before-model", b'{"mo', has={"connection": "close"}),
]


@each(NO_CHUNKS)
def test_what_is_no_chunk(bench, case):
    """A body that goes on with something else than a chunk: told in the API's own dialect."""
    case.raw = raw(bench, case, chunks=b"%x\r\n%s\r\nGo\r\n" % (len(case.body), case.body))
    bench.run(case)


OLD = [
    served("old", has={"connection": "close", "transfer-encoding": None}),
    served("old-kept", headers={"Connection": "keep-alive"}, has={"connection": "keep-alive"}),
    served("old-stream", stream=True, check=None,
           has={"connection": "close", "transfer-encoding": None}),
    served("old-chunked", "framing=chunked", has={"connection": "close",
                                                  "transfer-encoding": None}),
    Case("old-cut-stream", "cut=chunk:2", stream=True, text=2, last="engine_failed",
         outcome="cut", tokens=(GUESS, 0, 2), is_estimated=True),
    Case("old-error", "status=429 retry_after=3", status=429, has={"retry-after": "3"},
         outcome="client_error"),
]


@each(OLD)
def test_http_1_0(bench, case):
    case.raw = raw(bench, case, "1.0")
    bench.run(case)


def test_http_1_0_body_that_breaks_off(bench):
    """Nothing but a reset tells it from a whole one."""
    case = Case("old-cut", "framing=chunked cut=body:200000 size=300000 by=rst")
    with bench.connect() as client:
        client.send(raw(bench, case, "1.0"))
        client.rest()
        assert client.ended == "rst"
    assert bench.record("old-cut")["outcome"] == "cut"
    bench.check_nothing_is_left()


def test_pipelined_requests_are_answered_in_order(bench):
    cases = [Case(f"piped-{i}", f"chunks={i + 1}", text=i + 1, tokens=(10, 0, i + 1),
                  stream=i % 2 == 1) for i in range(6)]
    with bench.connect() as client:
        client.send(b"".join(raw(bench, case) for case in cases))
        seen = [bench.answer(client, case) for case in cases]
    assert [one.headers["x-request-id"] for one in seen] == [case.name for case in cases]
    for one in seen:
        bench.finish(bench.engine, one)


def test_head(bench):
    bench.run(refused("head-chat", 405, None, method="HEAD", has={"allow": "POST"}))
    bench.run(refused("head-models", 200, None, "/v1/models", method="HEAD"))
    bench.run(own("head-own", "/metrics", method="HEAD", body=None, asked=0))
