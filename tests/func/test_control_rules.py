# SPDX-License-Identifier: Apache-2.0
"""The control plane's rules with real engines: doc/internals/control-plane.md."""

import pytest

from harness import Stream, is_alive, wait_for
from test_cli import Shell


@pytest.fixture
def pair(make_cluster):
    """A server with a worker, and a second worker "far"."""
    cluster = make_cluster().start()
    cluster.add_worker("far")
    wait_for(lambda: cluster.worker_memory("far") or None, what="the second worker's memory")
    return cluster


def change(cluster, model, **fields):
    return cluster.admin.put(f"/v2/models/{model['id']}", fields).expect(200)


def worker_named(cluster, name):
    return next(row for row in cluster.items("/v2/workers") if row["name"] == name)


def set_maintenance(cluster, name, **maintenance):
    worker = worker_named(cluster, name)
    return cluster.admin.put(f"/v2/workers/{worker['id']}",
                               {"maintenance": maintenance or None}).expect(200)


def ask(cluster, model):
    """Status of a chat request; cluster.chat() takes 200 alone."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    return cluster.user().post("/v1/chat/completions", body).status


def events_of(cluster, kind, object_id):
    rows = cluster.items("/v2/events")
    return {row["reason"]: row for row in rows
            if row["object_kind"] == kind and row["object_id"] == object_id}


def settled(cluster, name, count):
    """The model's instances when just `count` are there and all of them run."""
    def look():
        rows = cluster.instances(name)
        run = all(row["state"] == "running" and not row["is_draining"] for row in rows)
        return rows if len(rows) == count and run else None
    return wait_for(look, timeout=60, what=f"{count} running instances of {name}")


def test_metadata_edits_restart_nothing(cluster, demo_model):
    model = cluster.deploy("hello", demo_model)
    pids = cluster.engine_pids()
    change(cluster, model, description="new words", categories=["llm"], max_restarts=7)
    renamed = change(cluster, model, name="other")
    assert renamed["generation"] == model["generation"]
    wait_for(lambda: [row["model_name"] for row in cluster.instances("other")] == ["other"],
             what="the instance to show the new name")
    wait_for(lambda: ask(cluster, "other") == 200, what="the new name to be served")
    assert ask(cluster, "hello") == 404
    assert cluster.engine_pids() == pids


def test_an_update_with_room_surges_and_streams_finish(pair, endless_model):
    model = pair.deploy("endless", endless_model)
    old = pair.instances("endless")[0]
    with Stream(pair.user(), "endless", max_tokens=400) as stream:
        wait_for(lambda: stream.count > 5, what="the stream to begin")
        change(pair, model, backend_parameters=["--threads", "1"])
        fresh = wait_for(lambda: next((row for row in pair.instances("endless")
                                       if row["model_generation"] == 2
                                       and row["state"] == "running"), None),
                         timeout=60, what="the fresh instance to serve")
        assert fresh["id"] != old["id"]
        draining = wait_for(lambda: next((row for row in pair.instances("endless")
                                          if row["id"] == old["id"] and row["is_draining"]), None)
                            or stream.ended_normally(), what="the old instance to drain")
        assert draining is True or draining["state_reason"] == "replaced"
        stream.join(90)
        assert stream.ended_normally(), stream.error
    rows = settled(pair, "endless", 1)
    assert rows[0]["id"] == fresh["id"]
    assert "replaced" in events_of(pair, "model-instance", old["id"])


def test_two_replicas_are_never_both_away_during_an_update(pair, demo_model):
    model = pair.deploy("hello", demo_model, replicas=2)
    settled(pair, "hello", 2)
    change(pair, model, backend_parameters=["--threads", "1"])

    def new_ones():
        assert pair.model("hello")["ready_replicas"] >= 1
        assert ask(pair, "hello") == 200
        rows = pair.instances("hello")
        return len(rows) == 2 and all(row["model_generation"] == 2 and row["state"] == "running"
                                      for row in rows)
    wait_for(new_ones, timeout=90, what="both replicas to have the new settings")


def test_rollback_by_one_call(cluster, demo_model):
    model = cluster.deploy("hello", demo_model)
    change(cluster, model, backend_parameters=["--threads", "1"])
    settled(cluster, "hello", 1)
    revisions = cluster.items(f"/v2/models/{model['id']}/revisions")
    assert [row["generation"] for row in revisions] == [2, 1]
    back = cluster.admin.post(f"/v2/models/{model['id']}/rollback").expect(200)
    assert (back["generation"], back["backend_parameters"]) == (3, [])
    wait_for(lambda: [row["model_generation"] for row in settled(cluster, "hello", 1)] == [3],
             timeout=60, what="the instance to have the old settings again")
    reply = cluster.admin.post(f"/v2/models/{model['id']}/rollback", {"generation": 9})
    assert reply.status == 404
    assert "kept are 1, 2, 3" in reply.json()["message"]


def test_scaling_down_lets_requests_finish(cluster, endless_model):
    model = cluster.deploy("endless", endless_model)
    engine = cluster.engine_pids()[0]
    with Stream(cluster.user(), "endless", max_tokens=300) as stream:
        wait_for(lambda: stream.count > 5, what="the stream to begin")
        change(cluster, model, replicas=0)
        wait_for(lambda: [row["is_draining"] for row in cluster.instances("endless")] == [True],
                 what="the instance to drain")
        assert ask(cluster, "endless") == 503
        assert is_alive(engine)
        stream.join(90)
        assert stream.ended_normally(), stream.error
    wait_for(lambda: cluster.instances("endless") == [], timeout=30, what="the instance to go")
    wait_for(lambda: not is_alive(engine), what="the engine to end")


def test_maintenance_with_drain_moves_what_serves(pair, demo_model):
    pair.deploy("hello", demo_model)
    home = pair.instances("hello")[0]["worker_name"]
    other = next(row["name"] for row in pair.items("/v2/workers") if row["name"] != home)
    worker = set_maintenance(pair, home, enabled=True, drain=True, message="new memory")
    assert worker["state"] == "maintenance"

    def moved():
        assert ask(pair, "hello") == 200 # at no time nobody serves
        rows = pair.instances("hello")
        return len(rows) == 1 and rows[0]["worker_name"] == other and rows[0]["state"] == "running"
    wait_for(moved, timeout=60, what="the instance to serve on the other worker")
    assert "maintenance" in events_of(pair, "worker", worker["id"])
    assert set_maintenance(pair, home)["state"] == "ready"


def test_second_failure_moves_elsewhere(pair, demo_model):
    pair.deploy("hello", demo_model)
    first = pair.instances("hello")[0]

    def now():
        rows = pair.instances("hello")
        return rows[0] if rows else None

    def is_moved():
        return now() and now()["id"] != first["id"]
    for failures in (1, 2):
        pair.kill_engine("hello")
        wait_for(lambda: is_moved() or (now() and now()["failures"] >= failures), timeout=30,
                 what=f"failure {failures} to be known")
        wait_for(lambda: is_moved() or (now() and now()["state"] == "running"), timeout=60,
                 what="the next try to serve")
    moved = settled(pair, "hello", 1)[0]
    assert moved["worker_name"] != first["worker_name"]
    assert first["worker_id"] in moved["avoid_worker_ids"]
    assert "moved" in events_of(pair, "model-instance", first["id"])


def test_a_copied_uuid_is_refused_with_both_addresses(pair):
    row = worker_named(pair, "far")
    body = {"name": "far", "hostname": "far", "ip": "192.0.2.77", "port": 10150,
            "worker_uuid": row["worker_uuid"], "labels": {}}
    reply = pair.http(f"Bearer {pair.token()}").post("/v2/workers", body)
    assert reply.status == 409
    message = reply.json()["message"]
    assert f"{row['ip']}:{row['port']}" in message and "192.0.2.77:10150" in message
    assert worker_named(pair, "far")["ip"] == row["ip"]
    assert "uuid_refused" in events_of(pair, "worker", row["id"])


def test_restart_limit_stops_with_its_reason(cluster, tmp_path):
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + b"\0" * 64)
    model = cluster.deploy("bad", bad, wait=False, max_restarts=1)
    row = wait_for(lambda: next((row for row in cluster.instances("bad")
                                 if row["state_reason"] == "restart_limit"), None),
                   timeout=60, what="the tries to end")
    assert row["state"] == "error"
    assert row["state_args"]["restarts"] >= 1
    timeline = cluster.admin.get(f"/v2/model-instances/{row['id']}/timeline").expect(200)
    errors = [span for span in timeline["items"] if span["state"] == "error"]
    assert errors and errors[0]["reason"] != "none"
    change(cluster, model, env={"A": "b"})
    wait_for(lambda: cluster.instances("bad")[0]["failures"] == 0
             or cluster.instances("bad")[0]["model_generation"] == 2,
             what="other settings to begin anew")


def test_timeline_survives_restarts_of_everything(cluster, demo_model):
    cluster.deploy("hello", demo_model)
    instance = cluster.instances("hello")[0]
    path = f"/v2/model-instances/{instance['id']}/timeline"
    before = cluster.admin.get(path).expect(200)["items"]
    states = [span["state"] for span in before]
    assert states[0] == "pending" and states[-1] == "running"
    assert before[-1]["until"] is None
    pids = cluster.engine_pids()
    cluster.stop_manager()
    cluster.start()
    wait_for(lambda: cluster.instances("hello")[0]["state"] == "running", timeout=30,
             what="the instance to be known as running")
    after = cluster.admin.get(path).expect(200)["items"]
    assert after[:len(before) - 1] == before[:-1]
    assert cluster.engine_pids() == pids


def test_events_and_rollback_by_command_line(cluster, gpustack_binary, tmp_path, demo_model):
    shell = Shell(gpustack_binary, tmp_path, GPUSTACK_SERVER_URL=cluster.url,
                  GPUSTACK_API_KEY=cluster.api_key())
    cluster.deploy("hello", demo_model)
    shell.run("models", "edit", "hello", "env={\"A\":\"1\"}")
    assert "GENERATION" in shell.run("models", "revisions", "hello")
    assert "earlier settings" in shell.run("models", "rollback", "hello")
    events = shell.run("events", "hello")
    for word in ("created", "serves", "settings_changed", "rolled_back"):
        assert word in events, events
    assert "no revision of generation 99" in shell.run("models", "rollback", "hello", "99",
                                                       status=5)
    assert "must be a number" in shell.run("models", "rollback", "hello", "old", status=2)
