# SPDX-License-Identifier: Apache-2.0
"""Pages, filters and order of the management API's lists; what a page asks for is asked of watches
too."""

import json

import pytest

from harness import names


@pytest.fixture
def sorted_models(make_idle_model):
    """Four models with "sorted" in their names."""
    for name, replicas, categories in (("sorted-b", 0, ["llm"]), ("sorted-A", 0, []),
                                       ("sorted-c", 0, ["llm", "embedding"]), ("sorted-d", 0, [])):
        make_idle_model(name, replicas=replicas, categories=categories, description=name[-1])


@pytest.mark.parametrize("query, order", [
    ("", "d c A b"),
    ("&sort_by=name", "A b c d"),
    ("&sort_by=-name", "d c b A"),
    ("&sort_by=replicas,-name", "d c b A"),
    ("&sort_by=created_at", "b A c d"),
    ("&sort_by=-id", "d c A b"),
    ("&name=sorted-b", "b"),
    ("&name=sorted-b&name=sorted-d", "d b"),
    ("&description=c", "c"),
    ("&categories=llm", "c b"),
    ("&categories=", "d A"),
    ("&categories=embedding&categories=", "d c A"),
    ("&categories=llm&description=b", "b"),
    ("&source=huggingface", ""),
    ("&restart_on_error=true&sort_by=name&perPage=2&page=2", "c d"),
    ("&restart_on_error=false", ""),
    ("&sort_by=name&page=-1", "A b c d"),
])
def test_models_are_filtered_and_sorted(api, sorted_models, query, order):
    page = api.get(f"/v2/models?search=sorted{query}").expect(200)
    assert [name[-1] for name in names(page)] == order.split()


@pytest.mark.parametrize("path, query, word", [
    ("/v2/models", "sort_by=nothing", "replicas"),
    ("/v2/models", "sort_by=-nothing", "created_at"),
    ("/v2/models", "colour=red", "local_path"),
    ("/v2/models", "source=floppy", "huggingface, model_scope, local_path"),
    ("/v2/models", "replicas=many", "integer"),
    ("/v2/models", "cpu_offloading=perhaps", "true or false"),
    ("/v2/model-instances", "state=odd", "pending, analyzing"),
    ("/v2/workers", "state=odd", "not_ready, ready"),
    ("/v2/users", "password_hash=x", "username"),
    ("/v2/api-keys", "secret_digest=x", "access_key"),
])
def test_what_no_list_knows_is_refused_with_what_there_is(api, path, query, word):
    problem = api.get(f"{path}?{query}").expect(422)
    assert problem["reason"] == "Invalid"
    assert word in problem["message"], problem
    assert query.partition("=")[0] in problem["message"]


def test_workers_are_found_by_uuid_name_and_state(serving, api):
    (worker,) = serving.items("/v2/workers")
    for query in (f"uuid={worker['worker_uuid']}", f"name={worker['name']}",
                  f"search={worker['name'][:3]}", "state=ready&port=" + str(worker["port"])):
        assert names(api.get("/v2/workers?" + query).expect(200)) == [worker["name"]], query
    for query in ("uuid=none", "name=none", "state=unreachable"):
        assert api.get("/v2/workers?" + query).expect(200)["items"] == [], query


def test_a_watch_has_the_filters_of_its_list(api, sorted_models, make_idle_model):
    frames = api.lines("GET", "/v2/models?watch=true&search=sorted&categories=llm&"
                              "description=b&description=z")
    seen = []
    made = False
    for line in frames:
        if not line:
            continue
        seen.append(json.loads(line))
        if not made:
            make_idle_model("sorted-x", categories=["llm"], description="x")
            make_idle_model("sorted-y", description="z")
            make_idle_model("sorted-z", categories=["llm"], description="z")
            made = True
        if len(seen) == 2:
            break
    frames.close()
    assert [(frame["type"], frame["data"]["name"]) for frame in seen] == [
        (1, "sorted-b"), (1, "sorted-z")]
    assert api.get("/v2/models?watch=true&colour=red").status == 422
