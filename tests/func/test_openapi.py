# SPDX-License-Identifier: Apache-2.0
"""The server does what api/openapi.yaml promises: every operation is sent what the file allows, and
each answer's status, type, headers and body are compared with it; what it forbids is refused with
the name of the field; the commands of /docs work as they stand there."""

import copy
import html
import json
import re
import subprocess

import hypothesis
import pytest
import schemathesis
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

import api_file
from api_file import NO_ID, Objects, operations, resolve
from harness import PASSWORD, STRONG, Cluster, wait_for

DEVICES = api_file.TOP / "tests/data/devices/ascend-910b4-8.json"
EXAMPLES = 8                    # random requests per operation
SLOW_EXAMPLES = 2               # of those that hash a password or tear things down
SLOW = {"auth_login", "auth_update_password", "users_create", "users_update", "users_delete",
        "workers_delete", "workers_register", "instances_delete"}
CONFORMANCE = [checks.status_code_conformance, checks.content_type_conformance,
               checks.response_schema_conformance, checks.response_headers_conformance]
# What may be refused though the file allows it: passwords, numbers in fields that nobody knows,
# times and records that stand in a wrong order, figures that an entity doesn't have, and what
# GPUStack knows and this version can't do.
REFUSED = ["current_password is wrong", "too big integer", "too big negative integer",
           "start must be before end", "group_by must be by one of", "seq: must be above",
           "allowed_principals is not enforced", "name a start before end",
           "id must be", "metrics of a", "must be a multiple of 10 s", "at most 10000 points",
           "points multiplied must be", "there is no worker with id", "must be OWNER/NAME",
           "are not fetched", "must be a name or pattern below"]
FIRST_MODEL = 1                 # id of the one that the cluster serves
ALL = operations()
FINITE = [one for one in ALL if not one.is_stream]


@pytest.fixture(scope="module")
def cluster(gpustack_binary, engine_dir, demo_model, tmp_path_factory):
    """A server of this file's own, for much is changed and removed on it."""
    own = Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("openapi"),
                  args=["--fake-devices", str(DEVICES)])
    try:
        own.start()
        own.deploy("served", demo_model)
        yield own
    finally:
        own.stop()


@pytest.fixture(scope="module")
def objects(cluster):
    return Objects(cluster, "served")


@pytest.fixture(scope="module")
def schema():
    loaded = schemathesis.openapi.from_dict(copy.deepcopy(api_file.document()))
    # Lengths are bytes, so that only ASCII keeps to what the file says in characters.
    loaded.config.generation.update(codec="ascii", allow_x00=False)
    return loaded


def by_id(operation):
    return operation.id


# --- what is promised ----------------------------------------------------------------------------


def tame(operation, case):
    """Keeps a random request from what would take long: streams, and thousands of instances; and
    from models that aren't there."""
    for name in ("watch", "follow"):
        if name in (case.query or {}):
            case.query[name] = "false"
    if operation.id == "instances_logs" and "tail" in case.query:
        case.query = {key: case.query[key] for key in case.query if key in ("tail", "run")}
    if "rank" in (case.query or {}):
        case.query["rank"] = 0  # the instance has no other
    if not isinstance(case.body, dict):
        return
    if isinstance(case.body.get("replicas"), int):
        case.body["replicas"] = 0
    for name in ("password", "new_password"):  # the policy can't be said in a schema
        if name in case.body and operation.id != "auth_login":
            case.body[name] = STRONG
    if operation.id == "users_update":
        case.body["is_active"] = True
    if "targets" in case.body:
        case.body["targets"] = [] if operation.id == "model_routes_add_targets" else \
            [{"model_id": FIRST_MODEL}]
    if "fallback_model_id" in case.body:
        case.body["fallback_model_id"] = FIRST_MODEL


def clean_up(cluster, operation, response):
    """Removes what a random request has made."""
    collections = {"users_create": "/v2/users", "models_create": "/v2/models",
                   "model_routes_create": "/v2/model-routes",
                   "api_keys_create": "/v2/api-keys", "workers_register": "/v2/workers",
                   "model_files_create": "/v2/model-files"}
    if operation.id in collections and response.status_code == 200:
        number = response.json()["id"]
        cluster.admin.delete(f"{collections[operation.id]}/{number}").expect(200)
    elif operation.id in ("config_update", "log_level_set"):
        cluster.admin.put("/v2/config", {"log_level": "info"}).expect(200)


@pytest.mark.parametrize("operation", FINITE, ids=by_id)
def test_answers_are_as_the_file_says(cluster, objects, schema, operation):
    """Random requests that keep to the file."""
    loaded = schema[operation.path][operation.method.upper()]
    in_path = "id" if "{id}" in operation.path else "text"

    @hypothesis.given(case=loaded.as_strategy(GenerationMode.POSITIVE),
                      is_there=hypothesis.strategies.integers(0, 3))
    @hypothesis.settings(
        max_examples=SLOW_EXAMPLES if operation.id in SLOW else EXAMPLES, derandomize=True,
        deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate])
    def send(case, is_there):
        if "{" in operation.path:
            case.path_parameters = {
                in_path: objects.id_for(operation.path) if is_there else NO_ID}
        tame(operation, case)
        token = objects.token_for(operation)
        response = case.call(base_url=cluster.url, timeout=20,
                             headers={"Authorization": f"Bearer {token}"} if token else {})
        case.validate_response(response, checks=CONFORMANCE)
        assert response.status_code != 500
        if response.status_code in (400, 422):
            message = response.json()["message"]
            assert any(text in message for text in REFUSED), message
        clean_up(cluster, operation, response)

    send()


STREAMS = [one for one in ALL
           if one.is_stream or {"watch", "follow"} & set(one.names_of("query"))]
# Lists that refuse to be watched, as their descriptions say.
UNWATCHED = {"gpu_devices_list", "backends_list"}


@pytest.mark.parametrize("operation", STREAMS, ids=by_id)
def test_streams_begin_as_the_file_says(cluster, objects, operation):
    """The answer comes with a type that is promised, its first bytes at once, and no end."""
    path = operation.path
    if path.startswith("/v2/models/{id}"):  # one whose lists have rows
        path = operation.target(cluster.model("served")["id"])
    elif "{" in path:
        path = operation.target(objects.id_for(path))
    if not operation.is_stream:
        path += "?watch=true" if "watch" in operation.names_of("query") else "?follow=true"
    client = cluster.http(objects.token_for(operation))
    if operation.id in UNWATCHED:
        assert client.get(path).status == 422
        return
    connection, response = client.open("GET", path)
    try:
        assert response.status == 200
        promised = resolve(operation.raw["responses"]["200"])["content"]
        kind = response.headers["Content-Type"].partition(";")[0]
        assert kind in promised and kind != "application/json"
        assert response.read(1), "something is told at once"
        assert not response.isclosed()
    finally:
        connection.close()


# --- what is forbidden ---------------------------------------------------------------------------


def wrong_values(schema, in_query):
    """Values that the schema doesn't allow. null and empty are not among them: they mean the
    default."""
    schema = resolve(schema)
    kinds = schema.get("type", [])
    kinds = set(kinds if isinstance(kinds, list) else [kinds])
    if "enum" in schema:
        yield "no-such-word"
    if kinds & {"integer", "number"}:
        yield "x"
        if "minimum" in schema:
            yield schema["minimum"] - 1
        if schema.get("maximum", 2 ** 63) < 2 ** 53:
            yield schema["maximum"] + 1
    if kinds == {"integer"}:
        yield 1.5
    if "boolean" in kinds:
        yield "maybe"
    if schema.get("maxLength", 10 ** 9) < 5000:
        yield "x" * (schema["maxLength"] + 1)
    if in_query:
        return
    if "string" in kinds or "boolean" in kinds:
        yield 7
    if kinds & {"array", "object"} and "string" not in kinds:
        yield "text"
    if schema.get("maxItems", 10 ** 9) < 2000:
        yield ["x"] * (schema["maxItems"] + 1)


def wrong_parameters(operation):
    for one in operation.parameters:
        if one["in"] != "query":
            continue
        schema = resolve(one["schema"])
        for value in wrong_values(schema.get("items", schema), True):
            yield one["name"], value


def example_body(operation):
    """A body that is allowed, as the page shows it."""
    kind, schema = operation.media()
    media = operation.body["content"][kind]
    if "example" in media:
        return media["example"]
    return {name: example(one) for name, one in members_of(schema).items()
            if name in required_of(schema)}


def parts_of(schema):
    return [resolve(one) for one in schema.get("allOf", [])] + [schema]


def members_of(schema):
    found = {}
    for part in parts_of(schema):
        found.update({name: one for name, one in part.get("properties", {}).items()
                      if "then" not in part})
    return found


def required_of(schema):
    return [name for part in parts_of(schema) for name in part.get("required", [])]


def example(schema):
    schema = resolve(schema)
    if "example" in schema:
        return schema["example"]
    return schema["enum"][-1] if "enum" in schema else \
        {"string": "text", "integer": schema.get("minimum", 1), "array": [], "boolean": True}.get(
            schema["type"])


QUERIES = [one for one in ALL if list(wrong_parameters(one))]
BODIES = [one for one in ALL if one.body and one.media()[0] == "application/json"
          and members_of(one.media()[1])]
# Members that are taken as they are: their shape is for other versions, or ours alone.
UNCHECKED = {"workers_status": {"generation", "status"},
             "workers_register": {"name_is_configured"}}
BAD_BODY_STATUS = {"usage_records_add": 400}  # what gateways tell is right or broken


@pytest.mark.parametrize("operation", QUERIES, ids=by_id)
def test_wrong_parameters_are_refused_by_name(cluster, objects, operation):
    client = cluster.http(objects.token_for(operation))
    target = operation.target(objects.id_for(operation.path)) if "{" in operation.path \
        else operation.path
    for name, value in wrong_parameters(operation):
        reply = client.request(operation.method.upper(), f"{target}?{name}={value}")
        assert reply.status == 422, f"{name}={value}: {reply.status}"
        problem = reply.json()
        assert problem["reason"] == "Invalid" and name in problem["message"], problem


@pytest.mark.parametrize("operation", BODIES, ids=by_id)
def test_wrong_bodies_are_refused_by_field(cluster, objects, operation):
    client = cluster.http(objects.token_for(operation))
    target = operation.target(objects.id_for(operation.path)) if "{" in operation.path \
        else operation.path
    kind, schema = operation.media()
    good = example_body(operation)
    bodies = [(name, {**good, name: value}) for name, one in members_of(schema).items()
              if name not in UNCHECKED.get(operation.id, ())
              for value in wrong_values(one, False)]
    bodies += [(name, {key: item for key, item in good.items() if key != name})
               for name in required_of(schema)]
    assert bodies
    for name, body in bodies:
        reply = client.request(operation.method.upper(), target, body)
        status = BAD_BODY_STATUS.get(operation.id, 422)
        assert reply.status == status, f"{name}: {body}: {reply.status} {reply.text}"
        problem = reply.json()
        assert name in problem["message"], problem
        assert (problem["reason"] == "Invalid") == (status == 422), problem
        if resolve(members_of(schema)[name]).get("format") == "password" and name in body:
            assert str(body[name]) not in problem["message"], "secrets aren't shown"


@pytest.mark.parametrize("operation", [one for one in ALL if one.body and
                                       one.body.get("required")], ids=by_id)
@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff"], ids=["open", "list", "bytes"])
def test_what_is_no_object_is_a_bad_request(cluster, objects, operation, body):
    target = operation.target(NO_ID)
    reply = cluster.http(objects.token_for(operation)).request(
        operation.method.upper(), target, body, headers={"Content-Type": "application/json"})
    is_text = operation.media()[0] == "text/plain"
    assert reply.status == (422 if is_text else 400)


def test_a_whole_object_can_be_sent_back(cluster, objects):
    """GPUStack's clients do that: what they can't set is ignored, as is what nobody knows."""
    for collection in ("/v2/users", "/v2/models", "/v2/api-keys", "/v2/workers",
                       "/v2/model-routes"):
        path = f"{collection}/{objects.id_for(collection + '/{id}')}"
        before = cluster.admin.get(path).expect(200)
        after = cluster.admin.put(path, {**before, "cluster_id": 1}).expect(200)
        assert after["version"] == before["version"] and "cluster_id" not in after


# --- the page ------------------------------------------------------------------------------------


def commands():
    """Operation -> its command on the page; other pieces of code stand in the guide."""
    with open(api_file.TOP / "build/release/src/api/docs.html", encoding="utf-8") as page:
        articles = re.findall(r'<article id="(\w+)">(.*?)</article>', page.read(), re.S)
    found = {}
    for name, text in articles:
        command = re.search(r'<pre class="curl"><code>(.*?)</code></pre>', text, re.S)
        if command:
            found[name] = html.unescape(command.group(1))
    return found


def run_command(command, cluster, objects, operation, *options):
    """Runs it as a reader would; returns the status."""
    environment = {
        "PATH": "/usr/bin:/bin", "SERVER": cluster.url, "KEY": cluster.api_key(),
        "CLUSTER_TOKEN": cluster.token(), "WORKER_TOKEN": objects.paper_worker()["token"],
        "ID": str(objects.id_for(operation.path)) if "{" in operation.path else ""}
    command = command.replace("curl ", 'curl -s -o /dev/null -w "%{http_code}" '
                              + " ".join(options) + " ", 1)
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True,
                          timeout=20)
    return int(done.stdout)


def test_served_pages_are_those_of_the_file(cluster):
    served = cluster.http().get("/openapi.json").expect(200)
    written = copy.deepcopy(api_file.document())
    assert served["info"].pop("version") and written["info"].pop("version")
    assert served == written
    reply = cluster.http().get("/docs")
    assert reply.expect(200).startswith("<!doctype html>")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r'<script|(src|href)="(https?:)?//', reply.text), "nothing from elsewhere"
    missing = {target for target in re.findall(r'href="#([^"]+)"', reply.text)
               if f'id="{target}"' not in reply.text}
    assert missing == set()


# Commands that change what others need come last; the password isn't the one of the page.
LAST = ["users_delete", "api_keys_delete", "models_delete", "instances_delete", "workers_delete"]
OTHER_STATUS = {"auth_login": 401, "auth_update_password": 422, "api_keys_rotate": 201}
COMMANDS = sorted(ALL, key=lambda one: one.id in LAST)


@pytest.mark.parametrize("operation", COMMANDS, ids=by_id)
def test_the_command_on_the_page_works(cluster, objects, operation):
    options = ["--max-time", "1"] if operation.is_stream else []
    status = run_command(commands()[operation.id], cluster, objects, operation, *options)
    assert status == OTHER_STATUS.get(operation.id, 204 if status == 204 else 200)


def test_the_first_steps_of_the_guide_work(cluster, demo_model):
    """Word for word, but for the password and the model's file."""
    guide = (api_file.TOP / "api/guide.md").read_text().partition("## Signing in")[0]
    blocks = re.findall(r"```\n(.*?)```", guide, re.S)
    make_key, deploy = blocks[1], blocks[3].replace("/models/hello.gguf", str(demo_model))
    key_text = subprocess.run(
        ["sh", "-c", make_key.replace("curl ", "curl -s ").replace("my program", "first steps")
         .replace("PASSWORD", PASSWORD)],
        env={"PATH": "/usr/bin:/bin", "SERVER": cluster.url}, capture_output=True, text=True,
        timeout=20).stdout
    key = json.loads(key_text)["value"]
    wait_for(lambda: cluster.http(key).get("/v1/models").status == 200)
    deploy = deploy.replace("curl ", "curl -s ").replace('"hello"', '"first-steps"')
    first, second = deploy.split("\ncurl")
    environment = {"PATH": "/usr/bin:/bin", "SERVER": cluster.url, "KEY": key}
    made = subprocess.run(["sh", "-c", first], env=environment, capture_output=True, text=True,
                          timeout=20).stdout
    assert json.loads(made)["name"] == "first-steps"
    cluster.wait_running("first-steps")
    chat = subprocess.run(["sh", "-c", "curl" + second], env=environment, capture_output=True,
                          text=True, timeout=20).stdout
    assert json.loads(chat)["choices"][0]["message"]["content"]
    cluster.delete_model("first-steps")
