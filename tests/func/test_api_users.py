# SPDX-License-Identifier: Apache-2.0
"""Users: activation, the last administrator, what one may change of oneself."""

import pytest

from harness import STRONG, basic_auth, login


def test_activation_ends_and_gives_back_access(serving, api, make_user):
    made = make_user("switched")
    path = f"/v2/users/{made['id']}/activation"
    user, _ = login(serving, "switched", STRONG)
    off = api.request("PATCH", path, {"is_active": False, "is_admin": True}).expect(200)
    assert off["is_active"] is False and off["is_admin"] is False
    assert user.get("/v2/users/me").status == 401
    assert api.request("PATCH", path, {"is_active": True}).expect(200)["is_active"] is True
    serving.http(basic_auth("switched", STRONG)).get("/v2/users/me").expect(200)
    for body in ({}, {"is_active": "no"}, {"is_active": None}):
        assert api.request("PATCH", path, body).status == 422
    stale = {"is_active": False, "version": 1}
    assert api.request("PATCH", path, stale).status == 409
    assert user.request("PATCH", path, {"is_active": True}).status == 403


@pytest.mark.parametrize("method, suffix, body", [
    ("DELETE", "", None), ("PUT", "", {"is_admin": False}), ("PUT", "", {"is_active": False}),
    ("PATCH", "/activation", {"is_active": False})])
def test_last_active_administrator_stays(api, make_user, method, suffix, body):
    make_user("idle-admin", is_admin=True, is_active=False)
    me = api.get("/v2/users/me").expect(200)
    reply = api.request(method, f"/v2/users/{me['id']}{suffix}", body)
    assert reply.status == 409
    assert "make another user an administrator first" in reply.json()["message"]


def test_second_administrator_frees_the_first(serving, api, make_user):
    made = make_user("second", is_admin=True)
    second = serving.http(basic_auth("second", STRONG))
    me = api.get("/v2/users/me").expect(200)
    second.put(f"/v2/users/{me['id']}", {"is_admin": False}).expect(200)
    assert api.get("/v2/users").status == 403
    assert second.delete(f"/v2/users/{made['id']}").status == 409
    second.put(f"/v2/users/{me['id']}", {"is_admin": True}).expect(200)
    api.get("/v2/users").expect(200)


def test_own_record_is_changed_with_a_version_too(serving, make_user):
    make_user("self")
    user = serving.http(basic_auth("self", STRONG))
    me = user.get("/v2/users/me").expect(200)
    changed = user.put("/v2/users/me", {**me, "full_name": "S", "is_admin": True}).expect(200)
    assert changed["full_name"] == "S" and changed["is_admin"] is False
    assert user.put("/v2/users/me", {"full_name": "T", "version": 1}).status == 409
