# SPDX-License-Identifier: Apache-2.0
"""What the management API says when it refuses: statuses, headers, words; and how often a password
may be guessed."""

import threading

import pytest

from harness import PASSWORD, STRONG, UnixHttp, basic_auth, wait_for

FREE_FAILURES = 5


def try_login(client, name, password):
    return client.post("/auth/login", {"username": name, "password": password})


def test_401_names_the_scheme(serving):
    for reply in (serving.http().get("/v2/models"), serving.http("nonsense").get("/v2/models"),
                  try_login(serving.http(), "nobody-at-all", "x")):
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == 'Bearer realm="gpustack"'


def test_405_names_what_is_allowed(api):
    reply = api.request("PATCH", "/v2/models")
    assert reply.status == 405 and reply.headers["allow"] == "GET, POST"
    assert "GET, POST" in reply.json()["message"]


@pytest.mark.parametrize("path, noun", [
    ("/v2/models/9999", "model"), ("/v2/users/9999", "user"), ("/v2/workers/9999", "worker"),
    ("/v2/api-keys/9999", "api-key"), ("/v2/model-instances/9999", "model-instance"),
    ("/v2/model-instances/9999/logs", "model-instance")])
def test_404_names_kind_and_id(api, path, noun):
    problem = api.get(path).expect(404)
    assert problem["reason"] == "NotFound"
    assert problem["message"] == f"there is no {noun} with id 9999"


def test_guessing_a_password_has_to_wait(serving, make_user):
    make_user("guessed")
    client = serving.http()
    for _ in range(FREE_FAILURES):
        assert try_login(client, "guessed", "wrong").status == 401
    reply = try_login(client, "guessed", STRONG)
    problem = reply.expect(429)
    assert problem["reason"] == "TooManyRequests" and "127.0.0.1" in problem["message"]
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    basic = serving.http(basic_auth("guessed", STRONG))
    assert basic.get("/v2/users/me").status == 429, "Basic is counted with it"
    assert try_login(client, "admin", PASSWORD).status == 200, "others are not held up"
    wait_for(lambda: try_login(client, "guessed", STRONG).status == 200, 10, "the wait is over")
    assert try_login(client, "guessed", "wrong").status == 401, "all was forgotten"


def test_a_forged_address_is_no_way_out(serving, make_user):
    make_user("forged")
    client = serving.http()
    statuses = []
    for number in range(FREE_FAILURES + 1):
        client.headers["X-Forwarded-For"] = f"9.9.9.{number}"
        statuses.append(try_login(client, "forged", "wrong").status)
    assert statuses == [401] * FREE_FAILURES + [429]


def test_the_machine_itself_is_never_locked_out(serving, make_user):
    make_user("local")
    for _ in range(FREE_FAILURES + 1):
        try_login(serving.http(), "local", "wrong")
    admin = UnixHttp(serving.data_dir / "run/admin.sock")
    assert try_login(admin, "local", STRONG).status == 200
    admin.get("/v2/users").expect(200)


def test_guesses_side_by_side_count(serving, make_user):
    make_user("parallel")
    statuses = []

    def guess():
        statuses.append(try_login(serving.http(), "parallel", "wrong").status)

    for _ in range(3):
        threads = [threading.Thread(target=guess) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(statuses) == {401, 429}
    assert statuses.count(429) >= 14


def test_overload_says_when_to_come_again(serving):
    """More password checks at once than there are places: 503 with Retry-After."""
    replies = []

    def check(number):
        replies.append(try_login(serving.http(), f"stranger{number}", "wrong"))

    threads = [threading.Thread(target=check, args=(number,)) for number in range(120)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {reply.status for reply in replies} == {401, 503}
    refused = [reply for reply in replies if reply.status == 503]
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert all("moment" in reply.json()["message"] for reply in refused)
