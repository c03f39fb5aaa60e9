# SPDX-License-Identifier: Apache-2.0
"""The management API over the public port, resource by resource."""

import datetime
import pathlib
import re
import socket
import sqlite3
import time

import pytest

from harness import PASSWORD, STRONG, STRONGER, basic_auth, login, names, wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]
DEVICES = TOP / "tests/data/devices/ascend-910b4-8.json"


# --- login ---------------------------------------------------------------------------------------


def test_login_by_json_and_by_form(serving):
    user, answer = login(serving, "admin", PASSWORD)
    assert answer["username"] == "admin" and answer["is_admin"] is True
    assert user.get("/v2/users/me").expect(200)["username"] == "admin"
    form = f"username=admin&password={PASSWORD.replace('!', '%21')}".encode()
    reply = serving.http().post("/auth/login", form, headers={
        "Content-Type": "application/x-www-form-urlencoded"})
    assert reply.expect(200)["username"] == "admin"
    assert "Secure" not in reply.headers["set-cookie"], "it would never come back in the clear"


def test_logout_ends_the_session(serving):
    user, _ = login(serving, "admin", PASSWORD)
    reply = user.post("/auth/logout")
    reply.expect(200)
    assert "Max-Age=0" in reply.headers["set-cookie"]
    assert user.get("/v2/users/me").status == 401


@pytest.mark.parametrize("name, password", [
    ("admin", "wrong"), ("nobody", PASSWORD), ("admin", ""), ("", ""), ("admin", "x" * 300)])
def test_wrong_login_is_refused_alike(serving, name, password):
    reply = serving.http().post("/auth/login", {"username": name, "password": password})
    assert reply.status == 401
    assert reply.json()["message"] == "the user name or password is wrong"


def test_initial_password_must_be_changed_first(serving, make_user):
    make_user("newcomer", require_password_change=True, is_admin=True)
    user, answer = login(serving, "newcomer", STRONG)
    assert answer["require_password_change"] is True
    basic = serving.http(basic_auth("newcomer", STRONG))
    for client in (user, basic):
        reply = client.get("/v2/models")
        assert reply.status == 403 and "update-password" in reply.json()["message"]
        assert client.get("/v2/users/me").expect(200)["username"] == "newcomer"
    weak = {"current_password": STRONG, "new_password": "weak"}
    assert user.post("/auth/update-password", weak).status == 422
    wrong = {"current_password": "Wr0ng_Password", "new_password": STRONGER}
    assert user.post("/auth/update-password", wrong).status == 422
    good = {"current_password": STRONG, "new_password": STRONGER}
    reply = user.post("/auth/update-password", good)
    assert reply.expect(200)["require_password_change"] is False
    assert user.get("/v2/users/me").status == 401, "the old login is out"
    user.headers["Cookie"] = reply.headers["set-cookie"].partition(";")[0]
    user.get("/v2/models").expect(200)
    assert basic.get("/v2/models").status == 401
    serving.http(basic_auth("newcomer", STRONGER)).get("/v2/models").expect(200)


def test_api_key_is_not_held_up_by_a_password_change(serving, api, make_user):
    made = make_user("keyholder", is_admin=True)
    basic = serving.http(basic_auth("keyholder", STRONG))
    key = basic.post("/v2/api-keys", {"name": "k"}).expect(200)["value"]
    api.put(f"/v2/users/{made['id']}", {"require_password_change": True}).expect(200)
    assert basic.get("/v2/models").status == 403
    serving.http(key).get("/v2/models").expect(200)


# --- users ---------------------------------------------------------------------------------------


def test_user_is_made_changed_and_removed(serving, api, make_user):
    made = make_user("grace", full_name="Grace H.")
    assert made["is_admin"] is False and made["is_active"] is True
    path = f"/v2/users/{made['id']}"
    assert api.get(path).expect(200) == made
    changed = api.put(path, {"full_name": "Grace", "username": "other"}).expect(200)
    assert changed["full_name"] == "Grace" and changed["username"] == "grace"
    user = serving.http(basic_auth("grace", STRONG))
    assert user.get("/v2/users/me").expect(200)["full_name"] == "Grace"
    assert user.get("/v2/users").status == 403
    assert user.get("/v2/models").status == 403
    api.put(path, {"password": STRONGER}).expect(200)
    assert user.get("/v2/users/me").status == 401
    api.put(path, {"is_active": False}).expect(200)
    assert serving.http(basic_auth("grace", STRONGER)).get("/v2/users/me").status == 401
    api.delete(path).expect(200)
    assert api.get(path).status == 404


def test_user_may_change_only_the_name_of_their_own(serving, make_user):
    make_user("mallory")
    user = serving.http(basic_auth("mallory", STRONG))
    changed = user.put("/v2/users/me", {"full_name": "M", "is_admin": True}).expect(200)
    assert changed["full_name"] == "M" and changed["is_admin"] is False


@pytest.mark.parametrize("body, field", [
    ({"password": STRONG}, "username"),
    ({"username": "", "password": STRONG}, "username"),
    ({"username": "has space", "password": STRONG}, "username"),
    ({"username": "x" * 200, "password": STRONG}, "username"),
    ({"username": "weak", "password": "short"}, "password"),
    ({"username": "weak"}, "password"),
    ({"username": "t", "password": STRONG, "is_admin": "yes"}, "is_admin"),
])
def test_faulty_user_is_refused_with_the_field(api, body, field):
    reply = api.post("/v2/users", body)
    assert reply.status == 422 and field in reply.json()["message"]


def test_user_name_is_unique(api, make_user):
    make_user("twin")
    assert api.post("/v2/users", {"username": "twin", "password": STRONG}).status == 409


def test_last_administrator_stays(api):
    admin = api.get("/v2/users/me").expect(200)
    path = f"/v2/users/{admin['id']}"
    assert api.delete(path).status == 409
    assert api.put(path, {"is_admin": False}).status == 409
    reply = api.put(path, {"is_active": False})
    assert reply.status == 409 and "last" in reply.json()["message"]


# --- API keys ------------------------------------------------------------------------------------


def test_key_is_shown_once_and_works_until_it_is_removed(serving, api):
    made = api.post("/v2/api-keys", {"name": "once", "description": "d"}).expect(200)
    assert re.fullmatch("gpustack_[0-9a-f]{16}_[0-9a-f]{32}", made["value"])
    listed = [item for item in api.get("/v2/api-keys").json()["items"] if item["name"] == "once"]
    assert "value" not in listed[0] and listed[0]["access_key"] in made["value"]
    assert api.post("/v2/api-keys", {"name": "once"}).status == 409
    user = serving.http(made["value"])
    user.get("/v2/models").expect(200)
    wait_for(lambda: user.get("/v1/models").status == 200)
    api.delete(f"/v2/api-keys/{made['id']}").expect(200)
    assert user.get("/v2/models").status == 401
    wait_for(lambda: user.get("/v1/models").status == 401)


def test_key_by_x_api_key_header(serving, api):
    user = serving.http()
    user.headers["X-API-Key"] = serving.api_key()
    user.get("/v2/models").expect(200)
    user.get("/v1/models").expect(200)


def test_scope_says_what_a_key_may(serving, api):
    keys = {scope: serving.make_key({"name": f"for {scope}", "scope": [scope]})
            for scope in ("management", "inference")}
    assert serving.http(keys["management"]).get("/v2/models").status == 200
    assert serving.http(keys["management"]).get("/v1/models").status == 403
    assert serving.http(keys["inference"]).get("/v2/models").status == 403
    assert serving.http(keys["inference"]).get("/v1/models").status == 200
    reply = api.post("/v2/api-keys", {"name": "all", "scope": ["everything"]})
    assert reply.status == 422 and "everything" in reply.json()["message"]


def test_key_expires(serving, api):
    made = api.post("/v2/api-keys", {"name": "short", "expires_in": 2}).expect(200)
    left = datetime.datetime.fromisoformat(made["expires_at"]).timestamp() - time.time()
    assert 0 < left <= 2
    user = serving.http(made["value"])
    user.get("/v2/models").expect(200)
    wait_for(lambda: user.get("/v2/models").status == 401, what="the key has expired for /v2")
    assert "expired" in user.get("/v2/models").json()["message"]
    assert user.get("/v1/models").status == 401
    assert api.post("/v2/api-keys", {"name": "past", "expires_in": -1}).status == 422


def test_allowed_models_are_the_only_ones(serving):
    allowed = {"name": "hello only", "allowed_model_names": ["hello"]}
    other = {"name": "other only", "allowed_model_names": ["other"]}
    body = {"model": "hello", "messages": [{"role": "user", "content": "Hi"}]}
    user = serving.http(serving.make_key(allowed))
    user.post("/v1/chat/completions", body).expect(200)
    assert [item["id"] for item in user.get("/v1/models").json()["data"]] == ["hello"]
    user = serving.http(serving.make_key(other))
    assert user.post("/v1/chat/completions", body).status == 403
    assert user.get("/v1/models").json()["data"] == []


def test_users_see_only_their_own_keys(serving, api, make_user):
    make_user("owner")
    owner = serving.http(basic_auth("owner", STRONG))
    owner.post("/v2/api-keys", {"name": "mine"}).expect(200)
    assert names(owner.get("/v2/api-keys").json()) == ["mine"]
    assert "mine" not in names(api.get("/v2/api-keys").json())


def test_key_of_a_removed_user_is_dead(serving, api, make_user):
    made = make_user("leaver")
    key = serving.http(basic_auth("leaver", STRONG)).post("/v2/api-keys", {"name": "k"}).json()
    user = serving.http(key["value"])
    wait_for(lambda: user.get("/v1/models").status == 200)
    api.delete(f"/v2/users/{made['id']}").expect(200)
    assert user.get("/v2/users/me").status == 401
    wait_for(lambda: user.get("/v1/models").status == 401, what="the gateway knows it too")


# --- models and instances ------------------------------------------------------------------------


def test_model_is_made_read_changed_and_removed(api, make_idle_model):
    made = make_idle_model("crud", description="first", categories=["llm"], env={"A": "1"},
                      backend_parameters=["--ctx-size", "128"])
    path = f"/v2/models/{made['id']}"
    assert api.get(path).expect(200) == made
    changed = api.put(path, {"description": "second"}).expect(200)
    assert changed["description"] == "second" and changed["env"] == {"A": "1"}
    assert changed["generation"] == made["generation"], "nothing that instances run with"
    changed = api.put(path, {"env": {}}).expect(200)
    assert changed["generation"] > made["generation"]
    assert api.get(path + "/instances").expect(200)["items"] == []
    api.delete(path).expect(200)
    assert api.get(path).status == 404
    assert api.delete(path).status == 404


def test_replicas_go_up_and_down(serving, api, demo_model):
    model = serving.deploy("scaled", demo_model, replicas=0)
    path = f"/v2/models/{model['id']}"
    assert serving.instances("scaled") == []
    for replicas in (2, 3, 1, 0):
        before = {item["id"] for item in serving.instances("scaled")}
        api.put(path, {"replicas": replicas}).expect(200)
        serving.wait_running("scaled", replicas)
        after = {item["id"] for item in serving.instances("scaled")}
        assert before <= after or after <= before, "those that stay are the same"
        wait_for(lambda: api.get(path).json()["ready_replicas"] == replicas)
    serving.delete_model("scaled")


def test_new_settings_restart_the_engine(serving, api, demo_model):
    serving.deploy("tuned", demo_model)
    before = serving.instances("tuned")[0]
    path = f"/v2/models/{serving.model('tuned')['id']}"
    api.put(path, {"backend_parameters": ["--ctx-size", "256"]}).expect(200)

    def restarted():
        now = serving.instances("tuned")[0]
        return now["state"] == "running" and now["pid"] != before["pid"]

    wait_for(restarted, 30, "the engine runs with the new settings")
    argv = pathlib.Path(f"/proc/{serving.instances('tuned')[0]['pid']}/cmdline").read_bytes()
    assert b"\0--ctx-size\000256\0" in argv
    serving.delete_model("tuned")


def test_deleted_instance_is_replaced(serving, api, demo_model):
    serving.deploy("replaced", demo_model)
    (old,) = serving.instances("replaced")
    assert api.get(f"/v2/model-instances/{old['id']}").expect(200)["name"] == old["name"]
    api.delete(f"/v2/model-instances/{old['id']}").expect(200)
    wait_for(lambda: old["id"] not in [i["id"] for i in serving.instances("replaced")])
    serving.wait_running("replaced")
    serving.delete_model("replaced")


def test_instances_are_filtered(serving, api):
    model = serving.model("hello")["id"]
    worker = serving.items("/v2/workers")[0]["id"]
    for query, count in ((f"model_id={model}", 1), (f"model_id={model + 9999}", 0),
                         (f"worker_id={worker}&state=running&model_id={model}", 1),
                         (f"state=error&model_id={model}", 0)):
        assert len(api.get("/v2/model-instances?" + query).expect(200)["items"]) == count, query
    assert api.get("/v2/model-instances?state=odd").status == 422


@pytest.mark.parametrize("fields, word", [
    ({"name": ""}, "name"),
    ({"name": "white space"}, "name"),
    ({"name": "../up"}, "name"),
    ({"name": "n" * 129}, "name"),
    ({"source": "floppy"}, "source"),
    ({"local_path": None}, "local_path"),
    ({"local_path": "relative.gguf"}, "local_path"),
    ({"replicas": -1}, "replicas"),
    ({"replicas": 1001}, "replicas"),
    ({"replicas": "two"}, "replicas"),
    ({"replicas": 1.5}, "replicas"),
    ({"backend_parameters": "--x"}, "backend_parameters"),
    ({"backend_parameters": ["--port", "1"]}, "--port"),
    ({"backend_parameters": ["--host=0.0.0.0"]}, "--host"),
    ({"env": {"A=B": "1"}}, "env"),
    ({"env": ["A=B"]}, "env"),
    ({"placement_strategy": "random"}, "placement_strategy"),
    ({"gpu_selector": {"gpu_ids": 7}}, "gpu_selector"),
])
def test_faulty_model_is_refused_with_the_field(api, fields, word):
    body = {"name": "faulty", "source": "local_path", "local_path": "/x.gguf", "replicas": 0,
            **fields}
    reply = api.post("/v2/models", body)
    assert reply.status == 422 and word in reply.json()["message"], reply.text


def test_all_faults_are_told_at_once(api):
    reply = api.post("/v2/models", {"name": "", "source": "floppy", "replicas": -1})
    message = reply.json()["message"]
    assert all(word in message for word in ("3 errors", "name", "floppy", "-1")), message


def test_model_name_is_unique(api, make_idle_model):
    first, second = make_idle_model("unique-a"), make_idle_model("unique-b")
    body = {"name": "unique-a", "source": "local_path", "local_path": "/x.gguf"}
    assert api.post("/v2/models", body).status == 409
    assert api.put(f"/v2/models/{second['id']}", {"name": "unique-a"}).status == 409
    assert api.get(f"/v2/models/{first['id']}").expect(200) == first


# --- logs ----------------------------------------------------------------------------------------


def logs_path(serving, query=""):
    return f"/v2/model-instances/{serving.instances('hello')[0]['id']}/logs{query}"


def test_logs_are_text_and_have_a_tail(serving, api):
    whole = api.get(logs_path(serving)).expect(200)
    assert "main: server is listening" in whole or "llama" in whole
    lines = api.get(logs_path(serving, "?tail=3")).expect(200).splitlines()
    assert len(lines) == 3
    assert api.get(logs_path(serving, "?tail=-5")).status == 422
    assert api.get(logs_path(serving, "?run=99")).status == 404
    options = api.get(logs_path(serving).replace("/logs", "/log-options")).expect(200)
    assert options["runs"] == [0]


def test_followed_log_grows(serving, api):
    connection, response = api.open("GET", logs_path(serving, "?tail=0&follow=true"))
    try:
        assert response.status == 200
        serving.chat("hello")
        assert response.readline(), "the engine tells of the request"
    finally:
        connection.close()


def test_followed_log_ends_with_the_instance(serving, api, demo_model):
    serving.deploy("brief", demo_model)
    path = f"/v2/model-instances/{serving.instances('brief')[0]['id']}/logs?follow=true"
    connection, response = api.open("GET", path)
    try:
        serving.delete_model("brief")
        assert response.read() != b""
    finally:
        connection.close()


# --- workers and devices -------------------------------------------------------------------------


def test_worker_is_shown_with_its_status(serving, api):
    (worker,) = api.get("/v2/workers").expect(200)["items"]
    assert worker["state"] == "ready"
    assert worker["worker_uuid"] == (serving.data_dir / "worker_uuid").read_text().strip()
    wait_for(lambda: api.get("/v2/workers").json()["items"][0]["status"], what="the first report")
    worker = api.get(f"/v2/workers/{worker['id']}").expect(200)
    assert worker["status"]["memory"]["total"] > 0
    assert worker["status"]["cpu"]["total"] >= 1
    assert worker["status"]["gpu_devices"] == []
    changed = api.put(f"/v2/workers/{worker['id']}", {"labels": {"rack": "7"}}).expect(200)
    assert changed["labels"]["rack"] == "7"


def test_eight_fake_910b4_are_shown_without_one(make_cluster):
    cluster = make_cluster(args=["--fake-devices", str(DEVICES)]).start()
    devices = wait_for(lambda: cluster.items("/v2/gpu-devices"), what="devices are reported")
    assert len(devices) == 8
    assert [item["index"] for item in devices] == list(range(8))
    assert {(item["name"], item["vendor"], item["type"]) for item in devices} == {
        ("910B4", "Huawei", "npu")}
    assert devices[0]["memory"]["total"] == 32 << 30
    assert devices[0]["id"] == f"{devices[0]['worker_name']}:npu:0"


def test_removed_worker_joins_again_and_its_instances_come_back(make_cluster, demo_model):
    cluster = make_cluster().start()
    cluster.deploy("hello", demo_model)
    (old,) = cluster.items("/v2/workers")
    cluster.admin.delete(f"/v2/workers/{old['id']}").expect(200)
    wait_for(lambda: [item["state"] for item in cluster.items("/v2/workers")] == ["ready"], 20,
             "it has registered again")
    assert cluster.items("/v2/workers")[0]["id"] != old["id"]
    cluster.wait_running("hello")
    cluster.chat("hello")


@pytest.mark.parametrize("method, path", [
    ("POST", "/v2/workers"), ("GET", "/v2/gateway-feed"), ("POST", "/v2/worker-status"),
    ("GET", "/v2/workers/1/desired")])
def test_internal_routes_want_their_own_tokens(serving, api, method, path):
    for client in (api, serving.http(), serving.http("nonsense")):
        reply = client.request(method, path, {} if method == "POST" else None)
        assert reply.status == 401, reply.text


# --- lists ---------------------------------------------------------------------------------------


def test_lists_are_paged_and_searched(api, make_idle_model):
    for number in range(5):
        make_idle_model(f"paged-{number}")
    make_idle_model("sought-Needle-x")
    page = api.get("/v2/models?search=paged&perPage=2&page=2").expect(200)
    assert page["pagination"] == {"page": 2, "perPage": 2, "total": 5, "totalPage": 3}
    assert names(page) == ["paged-2", "paged-1"]
    assert len(api.get("/v2/models?search=paged&perPage=2&page=4").json()["items"]) == 0
    assert len(api.get("/v2/models?search=paged&page=-1").json()["items"]) == 5
    assert names(api.get("/v2/models?search=needle").json()) == ["sought-Needle-x"]
    assert api.get("/v2/models?search=%25").json()["items"] == []


@pytest.mark.parametrize("query", ["page=0", "page=x", "perPage=0", "perPage=101", "page=-2"])
def test_faulty_page_is_refused(api, query):
    reply = api.get("/v2/models?" + query)
    assert reply.status == 422 and query.partition("=")[0] in reply.json()["message"]


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, path, body, status, reason", [
    ("POST", "/v2/models", b"{", 400, "BadRequest"),
    ("POST", "/v2/models", b"<html><body>login</body></html>", 400, "BadRequest"),
    ("POST", "/v2/models", bytes(range(256)), 400, "BadRequest"),
    ("POST", "/v2/models", b"[1, 2]", 400, "BadRequest"),
    ("POST", "/v2/models", b"[" * 100000, 400, "BadRequest"),
    ("GET", "/v2/models/999999", None, 404, "NotFound"),
    ("GET", "/v2/models/0", None, 422, "Invalid"),
    ("GET", "/v2/models/x", None, 422, "Invalid"),
    ("GET", "/v2/models/99999999999999999999", None, 422, "Invalid"),
    ("GET", "/v2/nothing", None, 404, "NotFound"),
    ("GET", "/v2/models/1/2/3", None, 404, "NotFound"),
    ("PATCH", "/v2/models", b"{}", 405, "MethodNotAllowed"),
    ("DELETE", "/v2/users/me", None, 405, "MethodNotAllowed"),
    ("POST", "/v2/models", b'{"name": "' + b"x" * (2 << 20) + b'"}', 413, "TooLarge"),
    ("POST", "/v2/models", b"{}", 422, "Invalid"),
    ("POST", "/v2/models", b"", 400, "BadRequest"),
])
def test_errors_have_code_reason_and_message(api, method, path, body, status, reason):
    reply = api.request(method, path, body, headers={"Content-Type": "application/json"})
    assert reply.status == status, reply.text
    problem = reply.json()
    assert problem["code"] == status and problem["reason"] == reason
    assert problem["message"]
    assert (status == 405) == ("allow" in reply.headers)


@pytest.mark.parametrize("auth", [None, "Bearer nonsense", "Basic !!!", "Digest x", "Bearer ",
                                  basic_auth("admin", "wrong"), "Bearer " + "x" * 8000])
def test_without_good_credentials_nothing_is_told(serving, auth):
    reply = serving.http(auth).get("/v2/models")
    assert reply.status == 401
    assert reply.json()["reason"] == "Unauthorized"


def test_head_and_version(serving):
    assert serving.http().get("/version").expect(200)["version"]
    assert serving.http().get("/healthz").status == 200


def talk(serving, request):
    """The first line of the answer to raw bytes; empty when there was none."""
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").readline().decode()
        except ConnectionError:
            return ""


@pytest.mark.parametrize("request_bytes, status", [
    (b"GARBAGE\r\n\r\n", "501"),
    (bytes(range(256)) * 8, "400"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
    (b"GET /v2/models HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400"),
    (b"POST /v2/models HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked"
     b"\r\n\r\n0\r\n\r\n", "400"),
    (b"POST /v2/models HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"),
    (b"GET /v2/models HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 65536 + b"\r\n\r\n", "431"),
    (b"GET /v2/" + b"x" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "431"),
])
def test_garbage_on_the_port_is_refused_and_hurts_nobody(serving, api, request_bytes, status):
    gateway = serving.pid("gateway")
    line = talk(serving, request_bytes)
    assert line == "" or status in line, line
    api.get("/v2/models").expect(200)
    assert serving.pid("gateway") == gateway


# --- secrets -------------------------------------------------------------------------------------


def test_secrets_are_in_no_reply_and_no_log(serving, api, make_user):
    make_user("secretive", is_admin=True)
    session, _ = login(serving, "secretive", STRONG)
    cookie = session.headers["Cookie"].partition("=")[2]
    database = sqlite3.connect(serving.data_dir / "database.db")
    cluster_secret = database.execute(
        "SELECT value FROM settings WHERE name = 'cluster_secret'").fetchone()[0]
    hashes = [row[0] for row in database.execute("SELECT password_hash FROM users")]
    digests = [row[0] for row in database.execute("SELECT secret_digest FROM api_keys")]
    stored = "\n".join(database.iterdump())
    database.close()
    for plain in (PASSWORD, STRONG, cookie, serving.api_key().rpartition("_")[2]):
        assert plain not in stored, "the store has digests only"
    secrets = [PASSWORD, STRONG, cookie, cluster_secret, serving.token(), *hashes, *digests,
               serving.api_key().rpartition("_")[2]]
    replies = [api.get(path).text for path in (
        "/v2/users", "/v2/users/me", "/v2/api-keys", "/v2/workers", "/v2/models",
        "/v2/model-instances", "/v2/gpu-devices", "/version", "/readyz", "/v1/models",
        logs_path(serving))]
    places = {"replies": "\n".join(replies), "log": serving.log()}
    for path in (serving.data_dir / "log").rglob("*"):
        if path.is_file():
            places[str(path)] = path.read_text(errors="replace")
    for place, text in places.items():
        assert [secret for secret in secrets if secret and secret in text] == [], place
