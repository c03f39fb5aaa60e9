# SPDX-License-Identifier: Apache-2.0
"""Optimistic writes: who names the version that was read can't undo another's work."""

import threading

import pytest

from harness import wait_for


def test_version_grows_with_changes_by_clients_only(serving, api, make_idle_model):
    made = make_idle_model("versioned")
    path = f"/v2/models/{made['id']}"
    assert made["version"] == 1
    assert api.put(path, {"description": None}).expect(200)["version"] == 1, "nothing changed"
    assert api.put(path, {"description": "x", "version": 1}).expect(200)["version"] == 2
    assert api.put(path, {"replicas": 0}).expect(200)["version"] == 2
    reply = api.put(path, {"env": {"A": "1"}})
    assert reply.expect(200)["version"] == 3 and reply.headers["etag"] == '"3"'
    hello = serving.model("hello")
    assert hello["ready_replicas"] == 1 and hello["version"] == 1, "observation is no change"


@pytest.mark.parametrize("how", ["body", "header"])
def test_stale_write_is_refused_with_the_present_object(api, make_idle_model, how):
    made = make_idle_model("stale")
    path = f"/v2/models/{made['id']}"
    api.put(path, {"description": "theirs"}).expect(200)
    if how == "body":
        reply = api.put(path, {"description": "mine", "version": 1})
    else:
        reply = api.put(path, {"description": "mine"}, headers={"If-Match": '"1"'})
    problem = reply.expect(409)
    assert problem["code"] == 409 and problem["reason"] == "Conflict"
    assert "version 1" in problem["message"].replace('"', "") and "2" in problem["message"]
    assert problem["current"] == api.get(path).expect(200)
    assert problem["current"]["description"] == "theirs"
    again = {**problem["current"], "description": "mine"}
    assert api.put(path, again).expect(200)["description"] == "mine"


@pytest.mark.parametrize("tag, status", [
    ('"1"', 200), ("1", 200), ('W/"1"', 200), ("*", 200), ('"7", "1"', 200), ('"2"', 409),
    ("nonsense", 409), ('""', 409)])
def test_if_match(api, make_idle_model, tag, status):
    made = make_idle_model("matched")
    reply = api.put(f"/v2/models/{made['id']}", {"description": "x"}, headers={"If-Match": tag})
    assert reply.status == status, reply.text


def test_version_must_be_a_number(api, make_idle_model):
    made = make_idle_model("numbered")
    reply = api.put(f"/v2/models/{made['id']}", {"version": "1"})
    assert reply.status == 422 and "version" in reply.json()["message"]


@pytest.mark.parametrize("kind", ["user", "key", "worker", "deletion"])
def test_all_that_clients_write_has_a_version(serving, api, make_user, make_idle_model, kind):
    if kind == "user":
        path, change = f"/v2/users/{make_user('versioned')['id']}", {"full_name": "V"}
    elif kind == "key":
        made = api.post("/v2/api-keys", {"name": "versioned"}).expect(200)
        path, change = f"/v2/api-keys/{made['id']}", {"description": "V"}
    elif kind == "worker":
        path = f"/v2/workers/{serving.items('/v2/workers')[0]['id']}"
        change = {"labels": {"versioned": "yes"}}
    else:
        path, change = f"/v2/models/{make_idle_model('gone')['id']}", {"description": "V"}
    before = api.get(path).expect(200)["version"]
    assert api.put(path, change).expect(200)["version"] == before + 1
    stale = {"If-Match": f'"{before}"'}
    reply = api.put(path, change, headers=stale)
    assert reply.status == 409 and reply.json()["current"]["version"] == before + 1
    if kind != "worker":
        assert api.delete(path, headers=stale).status == 409
        api.delete(path, headers={"If-Match": f'"{before + 1}"'}).expect(200)


def test_of_racing_writers_one_wins_each_round(serving, api, make_idle_model):
    made = make_idle_model("raced")
    path = f"/v2/models/{made['id']}"
    for round_number in range(20):
        version = api.get(path).expect(200)["version"]
        barrier = threading.Barrier(2)
        statuses = []

        def write(who):
            barrier.wait()
            body = {"description": f"{round_number} by {who}", "version": version}
            statuses.append(serving.user().put(path, body).status)

        writers = [threading.Thread(target=write, args=(who,)) for who in "ab"]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert sorted(statuses) == [200, 409], round_number
        assert api.get(path).expect(200)["version"] == version + 1


def test_version_survives_a_restart_of_control(make_cluster):
    cluster = make_cluster().start()
    made = cluster.admin.post("/v2/models", {"name": "kept", "source": "local_path",
                                             "local_path": "/x.gguf", "replicas": 0}).expect(200)
    path = f"/v2/models/{made['id']}"
    cluster.admin.put(path, {"description": "x"}).expect(200)
    (worker,) = wait_for(lambda: cluster.items("/v2/workers"), what="the worker has joined")
    labelled = cluster.admin.put(f"/v2/workers/{worker['id']}", {"labels": {"a": "b"}}).expect(200)
    cluster.kill("control")
    wait_for(lambda: cluster.admin.get(path).status == 200, what="control is back")
    assert cluster.admin.get(path).expect(200)["version"] == 2
    cluster.kill("worker")
    wait_for(lambda: cluster.worker_state(worker["name"]) == "ready", what="the worker is back")
    again = cluster.admin.get(f"/v2/workers/{worker['id']}").expect(200)
    assert again["version"] == labelled["version"] == 2
    assert again["labels"]["a"] == "b"
