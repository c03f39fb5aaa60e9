# SPDX-License-Identifier: Apache-2.0
"""Model routes and limits: who may set them, what is refused, what gateways are told."""

import json
import time

import pytest

from harness import STRONG, basic_auth, names, wait_for

LIMITS = {"requests_per_minute": 60, "tokens_per_minute": 100000, "concurrent_requests": 4,
          "token_budget": 9007199254740991, "budget_period": "day"}
NO_LIMITS = {name: None for name in LIMITS} | {"budget_period": "never"}


@pytest.fixture
def models(make_idle_model):
    """Two models that can be targets."""
    return make_idle_model("target-a")["id"], make_idle_model("target-b")["id"]


@pytest.fixture
def make_route(api, models):
    """Function (name, targets, **fields) -> the route; all are removed before the models."""
    made = []

    def make(name, targets, **fields):
        body = {"name": name, "targets": targets, **fields}
        made.append(api.post("/v2/model-routes", body).expect(200))
        return made[-1]

    yield make
    for route in made:
        api.delete(f"/v2/model-routes/{route['id']}").expect(200, 404)


def path_of(route):
    return f"/v2/model-routes/{route['id']}"


class Feed:
    """What a gateway that begins now is told: the snapshot, and then line by line."""

    def __init__(self, cluster):
        self.lines = cluster.http(cluster.token()).lines("GET", "/v2/gateway-feed")
        self.seen = {}
        self.until(lambda line: line["op"] == "ready")

    def until(self, accepts):
        for text in self.lines:
            line = json.loads(text) if text else {"op": ""}
            if "kind" in line:
                self.seen[line["kind"], line["id"]] = line
            if accepts(line):
                return line
        raise AssertionError("the feed has ended")

    def put(self, kind, number):
        return self.until(lambda line: line.get("kind") == kind and line["id"] == number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()


def test_a_routes_life_is_told_to_gateways(serving, api, models, make_route):
    first, second = models
    with Feed(serving) as feed:
        route = make_route("gpt-4", [{"model_id": first, "weight": 90}, {"model_id": second}],
                           fallback_model_id=second, description="d", categories=["llm"])
        assert route["version"] == 1 and route["targets"] == [
            {"model_id": first, "weight": 90}, {"model_id": second, "weight": 100}]
        told = feed.put("route", route["id"])
        assert {key: told[key] for key in ("name", "targets", "fallback_model_id")} == {
            key: route[key] for key in ("name", "targets", "fallback_model_id")}
        changed = api.put(path_of(route), {"fallback_model_id": None, "version": 1}).expect(200)
        assert changed["fallback_model_id"] is None and changed["version"] == 2
        assert feed.put("route", route["id"])["fallback_model_id"] == 0
        assert api.put(path_of(route), changed).expect(200)["version"] == 2
        api.delete(path_of(route)).expect(200)
        assert feed.put("route", route["id"])["op"] == "del"


def test_a_stale_write_is_refused_with_what_is_there(api, models, make_route):
    route = make_route("stale", [{"model_id": models[0]}])
    api.put(path_of(route), {"description": "theirs"}).expect(200)
    refused = api.put(path_of(route), {"description": "mine", "version": 1}).expect(409)
    assert refused["current"]["description"] == "theirs"
    assert api.delete(path_of(route), headers={"If-Match": '"1"'}).status == 409


def test_a_name_is_one_routes_alone_but_may_be_a_models(api, models, make_route):
    make_route("target-a", [{"model_id": models[1]}])
    body = {"name": "target-a", "targets": [{"model_id": models[0]}]}
    assert "target-a" in api.post("/v2/model-routes", body).expect(409)["message"]
    other = make_route("other", body["targets"])
    assert api.put(path_of(other), {"name": "target-a"}).status == 409


@pytest.mark.parametrize("fields, words", [
    ({"name": "two words"}, "name letters"), ({"name": ""}, "name"),
    ({"targets": None}, "targets"), ({"targets": []}, "targets"),
    ({"targets": [{"model_id": 99999}]}, "targets 99999"),
    ({"targets": [{"model_id": "A", "weight": -1}]}, "targets[0].weight 0-100"),
    ({"targets": [{"weight": 1}]}, "targets[0].model_id given"),
    ({"targets": [{"model_id": "A", "weight": 0}]}, "targets weight above 0"),
    ({"targets": [{"model_id": "A"}, {"model_id": "A"}]}, "targets twice"),
    ({"fallback_model_id": 99999}, "fallback_model_id 99999"),
    ({"categories": ["poetry"]}, "categories poetry"),
])
def test_faulty_routes_are_refused(api, models, fields, words):
    body = {"name": "faulty", "targets": [{"model_id": "A"}], **fields}
    for target in body["targets"] or []:
        target.update({key: models[0] for key in target if target[key] == "A"})
    message = api.post("/v2/model-routes", body).expect(422)["message"]
    assert all(word in message for word in words.split()), message


def test_targets_are_added(api, models, make_route):
    first, second = models
    route = make_route("grows", [{"model_id": first}])
    grown = api.post(path_of(route) + "/add-targets",
                     {"targets": [{"model_id": second, "weight": 5}], "version": 1}).expect(200)
    assert grown["targets"] == [{"model_id": first, "weight": 100},
                                {"model_id": second, "weight": 5}]
    twice = api.post(path_of(route) + "/add-targets", {"targets": [{"model_id": first}]})
    assert twice.status == 422 and "twice" in twice.json()["message"]


def test_a_model_in_routes_goes_only_with_cascade(api, models, make_route):
    first, second = models
    shared = make_route("shared", [{"model_id": first}, {"model_id": second}])
    only = make_route("only", [{"model_id": first}], fallback_model_id=second)
    message = api.delete(f"/v2/models/{first}").expect(409)["message"]
    assert "shared, only" in message and "cascade=true" in message
    assert api.delete(f"/v2/models/{first}?cascade=maybe").status == 422
    api.delete(f"/v2/models/{first}?cascade=true").expect(200)
    left = api.get(path_of(shared)).expect(200)
    assert left["version"] == 2 and [one["model_id"] for one in left["targets"]] == [second]
    assert api.get(path_of(only)).status == 404
    reasons = {(row["object_name"], row["reason"]) for row in api.get("/v2/events?page=-1")
               .expect(200)["items"] if row["object_kind"] == "model-route"}
    assert {("shared", "created"), ("shared", "settings_changed"), ("only", "deleted")} <= reasons


def test_users_read_routes_and_change_none(serving, models, make_route, make_user):
    route = make_route("readable", [{"model_id": models[0]}], categories=["embedding"])
    make_route("another", [{"model_id": models[0]}])
    make_user("reader")
    user = serving.http(basic_auth("reader", STRONG))
    assert user.get(path_of(route)).expect(200) == route
    assert names(user.get("/v2/model-routes?categories=embedding").expect(200)) == ["readable"]
    assert names(user.get("/v2/model-routes?sort_by=name").expect(200)) == ["another", "readable"]
    assert names(user.get("/v2/model-routes?search=READ").expect(200)) == ["readable"]
    for method, path in (("POST", "/v2/model-routes"), ("PUT", path_of(route)),
                         ("DELETE", path_of(route)), ("POST", path_of(route) + "/add-targets")):
        assert user.request(method, path, {}).status == 403


def test_routes_survive_control(make_cluster):
    cluster = make_cluster(args=["--disable-worker"]).start()
    model = cluster.admin.post("/v2/models", {
        "name": "m", "source": "local_path", "local_path": "/none.gguf", "replicas": 0,
        "first_byte_timeout": 7, **LIMITS}).expect(200)
    made = cluster.admin.post("/v2/model-routes", {
        "name": "kept", "targets": [{"model_id": model["id"], "weight": 3}],
        "fallback_model_id": model["id"]}).expect(200)
    cluster.kill("control")
    wait_for(lambda: cluster.admin.get("/v2/models").status == 200, 20, "control is back")
    assert cluster.admin.get(path_of(made)).expect(200) == made
    assert cluster.admin.get(f"/v2/models/{model['id']}").expect(200) == model
    with Feed(cluster) as feed:
        told = feed.seen["model", model["id"]]
        assert {key: told[key] for key in LIMITS} == LIMITS
        assert told["first_byte_timeout_ms"] == 7000
        assert feed.seen["route", made["id"]]["targets"] == made["targets"]


# --- limits --------------------------------------------------------------------------------------


def test_limits_are_told_and_taken_back(serving, api, make_user, make_idle_model):
    key = api.post("/v2/api-keys", {"name": "limited", **LIMITS}).expect(200)
    rows = {"user": (make_user("limited", **LIMITS), "/v2/users"), "key": (key, "/v2/api-keys"),
            "model": (make_idle_model("limited", **LIMITS), "/v2/models")}
    with Feed(serving) as feed:
        for kind, (row, collection) in rows.items():
            assert {name: row[name] for name in LIMITS} == LIMITS
            told = feed.seen[kind, row["id"]]
            assert {name: told[name] for name in LIMITS} == LIMITS
            path = f"{collection}/{row['id']}"
            free = api.put(path, {**row, **NO_LIMITS}).expect(200)
            assert {name: free[name] for name in LIMITS} == NO_LIMITS
            assert free["version"] == row["version"] + 1
            assert feed.put(kind, row["id"])["requests_per_minute"] == 0
    api.delete(f"/v2/api-keys/{key['id']}").expect(200)


def test_what_was_spent_of_a_budget_is_told(serving, api, make_user, make_idle_model):
    """Of user and model, as soon as one has a budget, and of the others never."""
    user, model = make_user("spender"), make_idle_model("spent", token_budget=1000)
    record = {"seq": 1, "request_id": "r", "user_id": user["id"], "key_id": 0,
              "model_id": model["id"], "model": "spent", "route": "spent", "instance_id": 0,
              "operation": "chat", "outcome": "ok", "status": 200, "aborted_phase": None,
              "is_stream": False, "is_estimated": False, "prompt_tokens": 30, "cached_tokens": 0,
              "completion_tokens": 12, "request_bytes": 1, "response_bytes": 1,
              "started_ms": int(time.time() * 1000), "queue_us": 0, "first_byte_us": 1,
              "total_us": 2, "attempts": 1}
    with Feed(serving) as feed:
        batch = {"gateway": "6f1c3f0e-3c55-4d52-9c50-7f3f4d0f6a11", "records": [record]}
        serving.http(serving.token()).post("/v2/usage-records", batch).expect(200)
        told = feed.put("spending", model["id"])
        assert (told["subject"], told["tokens"], told["applied"]) == ("model", 42, 1)
        api.put(f"/v2/users/{user['id']}", {"token_budget": 50, "budget_period": "month"}) \
            .expect(200)
        told = feed.until(lambda line: line.get("subject") == "user")
        assert (told["id"], told["tokens"]) == (user["id"], 42)


@pytest.mark.parametrize("fields, words", [
    ({"requests_per_minute": -1}, "requests_per_minute"),
    ({"tokens_per_minute": 1000000001}, "tokens_per_minute 1000000000"),
    ({"concurrent_requests": "many"}, "concurrent_requests"),
    ({"token_budget": 1.5}, "token_budget"),
    ({"budget_period": "year"}, "budget_period never hour day week month"),
])
def test_faulty_limits_are_refused(api, make_idle_model, fields, words):
    me, key = api.get("/v2/users/me").expect(200), api.get("/v2/api-keys").expect(200)["items"][0]
    model = make_idle_model("faulty-limits")
    for path in (f"/v2/users/{me['id']}", f"/v2/api-keys/{key['id']}",
                 f"/v2/models/{model['id']}"):
        message = api.put(path, fields).expect(422)["message"]
        assert all(word in message for word in words.split()), message


def test_nobody_raises_the_own_limits(serving, api, make_user):
    made = make_user("tenant", requests_per_minute=10)
    tenant = serving.http(basic_auth("tenant", STRONG))
    mine = tenant.put("/v2/users/me", {"requests_per_minute": 0, "token_budget": 0,
                                       "full_name": "T"}).expect(200)
    assert mine["requests_per_minute"] == 10 and mine["full_name"] == "T"
    assert tenant.put(f"/v2/users/{made['id']}", {"requests_per_minute": 0}).status == 403
    key = tenant.post("/v2/api-keys", {"name": "k", "requests_per_minute": 5}).expect(200)
    path = f"/v2/api-keys/{key['id']}"
    assert tenant.put(path, {"requests_per_minute": 7}).expect(200)["requests_per_minute"] == 7
    assert api.put(path, {"requests_per_minute": 2}).expect(200)["requests_per_minute"] == 2
    make_user("neighbour")
    neighbour = serving.http(basic_auth("neighbour", STRONG))
    assert neighbour.put(path, {"requests_per_minute": 0}).status == 404


def test_limits_and_timeouts_restart_no_engine(serving, api):
    model = serving.model("hello")
    pids = serving.engine_pids()
    changed = api.put(f"/v2/models/{model['id']}", {
        **LIMITS, "first_byte_timeout": 60, "generic_proxy": True}).expect(200)
    assert changed["generation"] == model["generation"]
    api.put(f"/v2/models/{model['id']}", {
        **NO_LIMITS, "first_byte_timeout": 0, "generic_proxy": False}).expect(200)
    assert serving.wait_running("hello")[0]["model_generation"] == model["generation"]
    assert serving.engine_pids() == pids


# --- names ---------------------------------------------------------------------------------------


def test_an_engine_keeps_the_name_that_it_was_started_with(cluster, demo_model):
    """A renamed model's endpoints tell the old name until the engine starts again, whoever
    restarts meanwhile."""
    model = cluster.deploy("before", demo_model)
    path = f"/v2/models/{model['id']}"
    assert cluster.wait_running("before")[0]["served_name"] == "before"
    cluster.admin.put(path, {"name": "after"}).expect(200)
    with Feed(cluster) as feed:
        (endpoint,) = [line for kind, line in feed.seen.items() if kind[0] == "endpoint"]
        assert endpoint["served_name"] == "before"
    cluster.kill("worker")
    cluster.kill("control")
    wait_for(lambda: cluster.admin.get(path).status == 200, 20, "control is back")
    (row,) = wait_for(lambda: [row for row in cluster.instances("after")
                               if row["state"] == "running"], 30, "the engine to be adopted")
    assert row["served_name"] == "before" and row["model_name"] == "after"
    cluster.admin.put(path, {"env": {"A": "1"}}).expect(200)
    wait_for(lambda: [one["served_name"] for one in cluster.instances("after")
                      if one["state"] == "running" and not one["is_draining"]] == ["after"], 60,
             "an engine that was started with the new name")
