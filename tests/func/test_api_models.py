# SPDX-License-Identifier: Apache-2.0
"""Models: all of GPUStack's fields, stop and start, copies."""

import pytest

from harness import wait_for

EXTRAS = {
    "image_name": "registry.local/engine:1", "run_command": "serve {{model_path}}",
    "access_policy": "public", "generic_proxy": True,
    "extended_kv_cache": {"enabled": True, "ram_ratio": 1.2, "ram_size": None, "chunk_size": 256},
    "speculative_config": {"enabled": True, "algorithm": "ngram", "num_draft_tokens": 4,
                           "ngram_min_match_length": 1, "ngram_max_match_length": 5},
    "lora_list": [{"lora_name": "hello:a", "source": "local_path", "local_path": "/a"}],
    "scaling_schedule": {"enabled": False, "baseline_replicas": 1, "rules": [
        {"name": "day", "start_cron": "0 8 * * *", "duration_seconds": 36000, "replicas": 3}]},
    "gpu_selector": {"gpu_ids": None, "gpus_per_replica": 2},
    "categories": ["llm", "embedding"], "max_restarts": 3,
}


def test_all_fields_are_kept(api, make_idle_model):
    made = make_idle_model("full", **EXTRAS)
    for field, value in EXTRAS.items():
        assert made[field] == value, field
    assert api.get(f"/v2/models/{made['id']}").expect(200) == made
    plain = make_idle_model("plain")
    assert plain["access_policy"] == "authed" and plain["lora_list"] is None
    assert plain["distributable"] is False and plain["stopped_replicas"] == 0


@pytest.mark.parametrize("fields, words", [
    ({"categories": ["poetry"]}, "categories poetry text_to_speech"),
    ({"access_policy": "friends"}, "access_policy public"),
    ({"access_policy": "allowed_principals"}, "allowed_model_names"),
    ({"extended_kv_cache": []}, "extended_kv_cache object"),
    ({"extended_kv_cache": {"ram_ratio": "much"}}, "extended_kv_cache.ram_ratio number"),
    ({"extended_kv_cache": {"chunk_size": 0}}, "extended_kv_cache.chunk_size"),
    ({"speculative_config": {"algorithm": "luck"}}, "speculative_config.algorithm eagle3 ngram"),
    ({"speculative_config": {"num_draft_tokens": 1.5}}, "num_draft_tokens integer"),
    ({"lora_list": {}}, "lora_list list"),
    ({"lora_list": [{"source": "local_path"}]}, "lora_list[0].lora_name given"),
    ({"lora_list": [{"lora_name": "a", "source": "floppy"}]}, "lora_list[0].source"),
    ({"scaling_schedule": {"rules": [{"start_cron": "* * * * *", "replicas": 1}]}},
     "scaling_schedule.rules[0].duration_seconds"),
    ({"scaling_schedule": {"baseline_replicas": -1}}, "scaling_schedule.baseline_replicas"),
    ({"gpu_selector": {"gpus_per_replica": 0}}, "gpu_selector gpus_per_replica"),
])
def test_shapes_are_checked(api, fields, words):
    body = {"name": "faulty", "source": "local_path", "local_path": "/x", "replicas": 0, **fields}
    message = api.post("/v2/models", body).expect(422)["message"]
    assert all(word in message for word in words.split()), message


def test_what_has_no_effect_restarts_nothing(api, make_idle_model):
    made = make_idle_model("calm")
    changed = api.put(f"/v2/models/{made['id']}", EXTRAS | {"gpu_selector": None}).expect(200)
    assert changed["generation"] == made["generation"] and changed["version"] == 2


def test_stop_remembers_and_start_brings_back(serving, api, demo_model):
    made = serving.deploy("stopped", demo_model, replicas=2)
    path = f"/v2/models/{made['id']}"
    stopped = api.post(path + "/stop").expect(200)
    assert (stopped["replicas"], stopped["stopped_replicas"]) == (0, 2)
    assert stopped["version"] == made["version"] + 1
    serving.wait_running("stopped", 0)
    again = api.post(path + "/stop").expect(200)
    assert (again["replicas"], again["stopped_replicas"]) == (0, 2)
    assert again["version"] == stopped["version"], "it was stopped already"
    started = api.post(path + "/start").expect(200)
    assert (started["replicas"], started["stopped_replicas"]) == (2, 0)
    serving.wait_running("stopped", 2)
    assert api.post(path + "/start").expect(200)["replicas"] == 2
    api.post(path + "/stop").expect(200)
    assert api.put(path, {"replicas": 1}).expect(200)["stopped_replicas"] == 0
    serving.delete_model("stopped")


def test_start_without_a_memory_is_one(api, make_idle_model):
    path = f"/v2/models/{make_idle_model('never-ran')['id']}"
    assert api.post(path + "/start").expect(200)["replicas"] == 1
    assert api.post(path + "/stop", {"version": 1}).status == 409
    api.post(path + "/stop").expect(200)
    for verb in ("start", "stop"):
        assert api.post(f"/v2/models/99999/{verb}").status == 404


def test_copy_of_an_answer_makes_another_model(serving, api, make_idle_model):
    made = make_idle_model("original", **EXTRAS)
    api.put(f"/v2/models/{made['id']}", {"env": {"A": "1"}}).expect(200)
    read = api.get(f"/v2/models/{made['id']}").expect(200)
    assert read["version"] == 2 and read["generation"] == 2
    refused = api.post("/v2/models", read)
    assert refused.status == 409 and "original" in refused.json()["message"]
    copy = make_idle_model("copy", **{key: value for key, value in read.items() if key != "name"})
    assert copy["id"] != read["id"] and copy["version"] == 1 and copy["generation"] == 1
    own = ("id", "name", "version", "generation", "created_at", "updated_at")
    assert {k: v for k, v in copy.items() if k not in own} == {
        k: v for k, v in read.items() if k not in own}


def test_workers_maintenance_is_checked_and_kept(serving, api):
    (worker,) = serving.items("/v2/workers")
    path = f"/v2/workers/{worker['id']}"
    for faulty in ({"enabled": "yes"}, [], {"message": "x" * 2000}, {"drain": 1}):
        assert api.put(path, {"maintenance": faulty}).status == 422, faulty
    wanted = {"enabled": False, "message": "later", "drain": False}
    assert api.put(path, {"maintenance": wanted}).expect(200)["maintenance"] == wanted
    assert api.put(path, {"maintenance": None}).expect(200)["maintenance"] is None
    wait_for(lambda: serving.worker_state(worker["name"]) == "ready")


def test_evaluations_tell_what_speaks_against_a_model(cluster, demo_model):
    spec = {"source": "local_path", "local_path": str(demo_model)}
    specs = [spec, {**spec, "worker_selector": {"zone": "moon"}}, {"source": "local_path"},
             {**spec, "gpu_selector": {"gpus_per_replica": 3}}]
    wait_for(lambda: cluster.admin.post("/v2/model-evaluations", {"model_specs": [spec]})
             .expect(200)["results"][0]["compatible"], what="the worker's memory to be known")
    results = cluster.admin.post("/v2/model-evaluations", {"model_specs": specs}).expect(200)
    fits, elsewhere, faulty, devices = results["results"]
    assert fits["compatible"] and not fits["scheduling_messages"]
    assert not elsewhere["compatible"]
    assert "label zone is missing, not moon" in elsewhere["scheduling_messages"][0]
    assert faulty["error"] and "local_path" in faulty["error_message"]
    assert "needs 3 devices" in devices["scheduling_messages"][0]
    missing = {"model_specs": [{**spec, "local_path": "/models/x.gguf"}]}
    result = cluster.admin.post("/v2/model-evaluations", missing).expect(200)["results"][0]
    assert not result["compatible"] and "/models/x.gguf" in result["scheduling_messages"][0]
    assert cluster.items("/v2/models") == []
    reply = cluster.admin.post("/v2/model-evaluations", {"model_specs": [spec] * 51})
    assert reply.status == 422 and "50" in reply.json()["message"]
