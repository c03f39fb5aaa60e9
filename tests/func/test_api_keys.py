# SPDX-License-Identifier: Apache-2.0
"""API keys: chosen values, turning them off, changing them, when they were used, whose they are."""

import sqlite3

import pytest

from harness import STRONG, basic_auth, names, wait_for

VALUE = "my-own.Key/with+16=chars"
CHAT = {"model": "hello", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def make_key(serving, api):
    """Function (name, **fields) -> the key with its value; all are removed afterwards."""
    made = []

    def make(name, **fields):
        made.append(api.post("/v2/api-keys", {"name": name, **fields}).expect(200))
        return made[-1]

    yield make
    for key in made:
        api.delete(f"/v2/api-keys/{key['id']}").expect(200, 404)


def test_chosen_value_works_everywhere_and_is_not_stored(serving, api, make_key):
    made = make_key("chosen", custom=VALUE)
    assert made["value"] == VALUE and made["is_custom"] is True
    assert len(made["access_key"]) == 16 and made["access_key"] not in VALUE
    user = serving.http(VALUE)
    assert user.get("/v2/users/me").expect(200)["username"] == "admin"
    wait_for(lambda: user.get("/v1/models").status == 200, what="the gateway knows it")
    user.post("/v1/chat/completions", CHAT).expect(200)
    by_header = serving.http()
    by_header.headers["X-API-Key"] = VALUE
    by_header.get("/v1/models").expect(200)
    assert serving.http(VALUE + "x").get("/v2/users/me").status == 401
    assert serving.http(VALUE[:-1]).get("/v1/models").status == 401
    assert VALUE not in api.get("/v2/api-keys").text
    assert VALUE not in serving.log()
    database = sqlite3.connect(serving.data_dir / "database.db")
    stored = "\n".join(database.iterdump())
    database.close()
    assert VALUE not in stored
    reply = api.post("/v2/api-keys", {"name": "the same again", "custom": VALUE})
    assert reply.status == 409 and VALUE not in reply.text
    api.delete(f"/v2/api-keys/{made['id']}").expect(200)
    assert user.get("/v2/users/me").status == 401
    wait_for(lambda: user.get("/v1/models").status == 401)


@pytest.mark.parametrize("value, word", [
    ("short", "16-256"), ("x" * 257, "16-256"), ("has a space in the middle", "spaces"),
    ("h\u00e4s an umlaut, which", "ASCII"), ("gpustack_0123456789", "gpustack_"), (7, "string"),
    ("", "16-256"), ("new\nline in the middle", "spaces")])
def test_faulty_values_are_refused_and_not_repeated(api, value, word):
    reply = api.post("/v2/api-keys", {"name": "faulty", "custom": value})
    assert reply.status == 422 and word in reply.json()["message"]
    assert str(value) not in reply.text or str(value) in ("", "7", "gpustack_")


def test_the_cluster_token_is_no_key(serving, api):
    reply = api.post("/v2/api-keys", {"name": "token", "custom": serving.token()})
    assert reply.status == 409
    assert serving.token() not in reply.text


def test_key_is_turned_off_and_on_again(serving, api, make_key):
    made = make_key("switched")
    user = serving.http(made["value"])
    wait_for(lambda: user.get("/v1/models").status == 200)
    path = f"/v2/api-keys/{made['id']}"
    watch = user.lines("GET", "/v2/api-keys?watch=true&name=switched")
    assert next(watch)
    assert api.put(path, {"enabled": False}).expect(200)["enabled"] is False
    reply = user.get("/v2/users/me")
    assert reply.status == 401 and "turned off" in reply.json()["message"]
    wait_for(lambda: user.get("/v1/models").status == 401, what="the gateway refuses it")
    for _ in watch:
        pass # a stream that was opened with it ends
    api.put(path, {"enabled": True}).expect(200)
    user.get("/v2/users/me").expect(200)
    wait_for(lambda: user.get("/v1/models").status == 200, what="the gateway takes it again")


def test_key_is_changed(serving, api, make_key):
    made = make_key("changed", scope=["inference"], expires_in=3600)
    path = f"/v2/api-keys/{made['id']}"
    assert serving.http(made["value"]).get("/v2/models").status == 403
    body = {"name": "changed too", "description": "d", "scope": ["*"], "expires_in": 0,
            "allowed_model_names": ["hello"], "access_key": "0" * 16, "user_id": 99}
    changed = api.put(path, body).expect(200)
    assert changed["name"] == "changed too" and changed["expires_at"] is None
    assert changed["access_key"] == made["access_key"] and changed["user_id"] == made["user_id"]
    assert changed["allowed_model_names"] == ["hello"] and "value" not in changed
    serving.http(made["value"]).get("/v2/models").expect(200)
    kept = api.put(path, {"description": "e"}).expect(200)
    assert kept["expires_at"] is None and kept["scope"] == ["*"]
    assert api.get(path).expect(200)["name"] == "changed too"
    assert api.put(path, {"scope": ["all of it"]}).status == 422
    assert api.put(path, {"name": ""}).status == 422
    make_key("other")
    assert api.put(path, {"name": "other"}).status == 409
    later = api.put(path, {"expires_in": 60}).expect(200)
    assert later["expires_at"] and later["version"] == kept["version"] + 1


def test_last_use_is_noted_for_management_and_inference(serving, api, make_key):
    managing, inferring = make_key("manages"), make_key("infers", scope=["inference"])
    assert managing["last_used_at"] is None

    def noted(key):
        return api.get(f"/v2/api-keys/{key['id']}").expect(200)["last_used_at"]

    serving.http(managing["value"]).get("/v2/users/me").expect(200)
    first = noted(managing)
    assert first
    serving.http(managing["value"]).get("/v2/users/me").expect(200)
    assert noted(managing) == first, "at most once a minute"
    assert api.get(f"/v2/api-keys/{managing['id']}").json()["version"] == 1
    user = serving.http(inferring["value"])
    wait_for(lambda: user.get("/v1/models").status == 200)
    user.post("/v1/chat/completions", CHAT).expect(200)
    wait_for(lambda: noted(inferring), 20, "the gateway has told")


def test_uses_are_told_by_gateways_only(serving, api):
    body = {"uses": [{"key_id": 1, "age_ms": 5}]}
    assert api.post("/v2/key-uses", body).status == 401
    gateway = serving.http(serving.token())
    assert gateway.post("/v2/key-uses", body).status == 204
    for faulty in ({}, {"uses": {}}, {"uses": [{}]}, {"uses": [{"key_id": 1}]},
                   {"uses": [{"key_id": 1, "age_ms": -1}]}, {"uses": [7]}):
        assert gateway.post("/v2/key-uses", faulty).status == 422, faulty
    assert gateway.post("/v2/key-uses", {"uses": [{"key_id": 10**9, "age_ms": 0}]}).status == 204


def test_administrators_see_and_remove_keys_of_others(serving, api, make_user):
    owner = make_user("keyowner")
    user = serving.http(basic_auth("keyowner", STRONG))
    made = user.post("/v2/api-keys", {"name": "theirs"}).expect(200)
    path = f"/v2/api-keys/{made['id']}"
    assert names(api.get("/v2/api-keys?name=theirs").json()) == []
    assert names(api.get(f"/v2/api-keys?user_id={owner['id']}").json()) == ["theirs"]
    assert names(api.get("/v2/api-keys?user_id=&search=theirs").json()) == []
    api.get(path).expect(200)
    assert api.put(path, {"enabled": False}).expect(200)["user_id"] == owner["id"]
    assert serving.http(made["value"]).get("/v2/users/me").status == 401
    api.delete(path).expect(200)
    assert api.get(path).status == 404


def test_users_reach_no_keys_of_others(serving, api, make_user):
    make_user("curious")
    user = serving.http(basic_auth("curious", STRONG))
    theirs = api.get("/v2/api-keys").expect(200)["items"][0]
    path = f"/v2/api-keys/{theirs['id']}"
    for reply in (user.get(path), user.put(path, {"enabled": False}), user.delete(path)):
        assert reply.status == 404
    assert user.get(f"/v2/api-keys?user_id={theirs['user_id']}").expect(200)["items"] == []


# --- rotation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [{}, {"custom": "another-own-key-of-mine"}])
def test_a_rotated_key_is_good_with_both_values_for_a_while(serving, api, make_key, chosen):
    made = make_key("rotated", allowed_model_names=["hello"], **chosen)
    old = serving.http(made["value"])
    wait_for(lambda: old.get("/v1/models").status == 200, what="the gateway knows it")
    turned = api.post(f"/v2/api-keys/{made['id']}/rotate", {"overlap_seconds": 3600}).expect(201)
    assert turned["value"] != made["value"] and turned["access_key"] == made["access_key"]
    assert turned["previous_expires_at"] and turned["version"] == made["version"] + 1
    assert turned["allowed_model_names"] == ["hello"] and not turned["is_custom"]
    new = serving.http(turned["value"])
    wait_for(lambda: new.get("/v1/models").status == 200, what="the gateway knows the new value")
    for user in (old, new):
        user.get("/v1/models").expect(200)
        user.post("/v1/chat/completions", CHAT).expect(200)
        user.get("/v2/users/me").expect(200)
    again = api.post(f"/v2/api-keys/{made['id']}/rotate").expect(201)
    assert again["previous_expires_at"] is None
    for user in (old, new):
        assert user.get("/v2/users/me").status == 401
        wait_for(lambda user=user: user.get("/v1/models").status == 401, what="it is refused")
    newest = serving.http(again["value"])
    newest.get("/v2/users/me").expect(200)
    wait_for(lambda: newest.get("/v1/models").status == 200, what="the newest value is known")
    shown = api.get(f"/v2/api-keys/{made['id']}").text
    assert again["value"] not in shown and again["value"] not in serving.log()


def test_an_old_value_ends_with_its_time(serving, api, make_key):
    made = make_key("soon over")
    old = serving.http(made["value"])
    api.post(f"/v2/api-keys/{made['id']}/rotate", {"overlap_seconds": 1}).expect(201)
    wait_for(lambda: old.get("/v2/users/me").status == 401, what="control refuses the old value")
    wait_for(lambda: old.get("/v1/models").status == 401, what="the gateway refuses it")


def test_rotations_that_are_refused(serving, api, make_key):
    made = make_key("refused")
    path = f"/v2/api-keys/{made['id']}/rotate"
    for overlap in (-1, 2592001, "1h"):
        problem = api.post(path, {"overlap_seconds": overlap}).expect(422)
        assert "overlap_seconds" in problem["message"]
    stale = api.post(path, headers={"If-Match": '"999"'})
    assert stale.status == 409 and stale.json()["current"]["version"] == made["version"]
    assert api.post("/v2/api-keys/999999/rotate").status == 404
    serving.http(made["value"]).get("/v2/users/me").expect(200)
