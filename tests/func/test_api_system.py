# SPDX-License-Identifier: Apache-2.0
"""What concerns the server as a whole: dashboard, configuration, log level, figures, backends."""

import re

import pytest

from harness import PASSWORD, STRONG, basic_auth, wait_for


def test_version_and_ways_to_sign_in_are_public(serving):
    version = serving.http().get("/version").expect(200)
    assert version["version"] and re.fullmatch("[0-9a-f]{12}|unknown", version["git_commit"])
    assert serving.http().get("/auth/config").expect(200) == {
        "is_oidc": False, "is_saml": False, "is_cas": False}


def test_dashboard_counts_and_measures(serving, api):
    wait_for(lambda: api.get("/v2/workers").json()["items"][0]["status"], what="the first report")

    def measured():
        return api.get("/v2/dashboard").expect(200)["system_load"]["current"]["ram"] > 0

    wait_for(measured, 10, "a measurement with the report in it")
    board = api.get("/v2/dashboard").expect(200)
    counts = board["resource_counts"]
    assert counts["worker_count"] == 1 and counts["gpu_count"] == 0
    assert counts["model_count"] >= 1 and counts["model_instance_count"] >= 1
    load = board["system_load"]
    assert 0 < load["current"]["ram"] <= 100 and load["current"]["gpu"] == 0
    assert set(load["history"]) == {"cpu", "ram", "gpu", "vram"}
    usage = board["model_usage"]
    assert set(usage) == {"api_request_history", "prompt_token_history",
                          "completion_token_history", "top_users"}
    assert all(series == [] for series in usage.values())
    (hello,) = [model for model in board["active_models"] if model["name"] == "hello"]
    assert hello["instance_count"] == 1 and hello["resource_claim"]["ram"] > 0


def test_configuration_is_shown_without_secrets(serving, api):
    reply = api.get("/v2/config")
    config = reply.expect(200)
    assert config["log_level"] == "info"
    assert str(serving.data_dir) in reply.text
    for secret in (PASSWORD, serving.token()):
        assert secret not in reply.text


def test_log_level_is_changed_while_it_runs(serving, api):
    assert api.get("/debug/log_level").expect(200) == "info"
    reply = api.put("/debug/log_level", b"debug", headers={"Content-Type": "text/plain"})
    assert reply.expect(200) == "debug"
    api.get("/v2/workers").expect(200)
    assert "GET /v2/workers: status=200" in serving.log()
    assert api.put("/v2/config", {"log_level": "trace"}).expect(200)["log_level"] == "debug"
    assert api.put("/debug/log_level", b'"info"').expect(200) == "info"
    assert "the level of control is info now, by admin" in serving.log()
    for body in (b"loud", b"", b"{}"):
        assert api.put("/debug/log_level", body).status == 422
    assert api.put("/v2/config", {"log_level": "loud"}).status == 422
    assert api.put("/v2/config", {}).expect(200)["log_level"] == "info"


def test_figures(api, make_idle_model):
    make_idle_model("figured")
    figures = api.get("/v2/debug").expect(200)
    assert figures["rss_bytes"] > 1 << 20 and figures["uptime_ms"] > 0
    assert figures["rows"]["models"] >= 2 and figures["rows"]["workers"] == 1
    assert figures["commits"]["count"] >= 1
    assert figures["commits"]["max_ms"] >= figures["commits"]["mean_ms"] >= 0
    before = figures["watchers"]
    watch = api.lines("GET", "/v2/models?watch=true")
    next(watch)
    assert api.get("/v2/debug").json()["watchers"] == before + 1
    watch.close()


def test_backends_are_the_built_in_engines(api):
    page = api.get("/v2/inference-backends?sort_by=backend_name").expect(200)
    (llama,) = [row for row in page["items"] if row["backend_name"] == "llama.cpp"]
    assert llama["backend_source"] == "built_in" and "llama-box" in llama["aliases"]
    assert "{port}" in llama["default_run_command"]
    assert api.get(f"/v2/inference-backends/{llama['id']}").expect(200) == llama
    assert api.get("/v2/inference-backends/99").status == 404
    assert api.get("/v2/inference-backends?backend_name=none").expect(200)["items"] == []
    assert api.get("/v2/inference-backends?watch=true").status == 422


def test_model_files_are_what_workers_found(serving, api, demo_model):
    model, worker = serving.model("hello"), serving.items("/v2/workers")[0]
    row = wait_for(lambda: api.get(f"/v2/model-files?local_path={demo_model}").json()["items"],
                   what="the worker's answer")[0]
    assert row["state"] == "present" and row["size"] == demo_model.stat().st_size
    assert row["worker_id"] == worker["id"] and row["worker_name"] == worker["name"]
    assert row["resolved_paths"] == [row["local_path"]] == [str(demo_model)]
    assert row["models"] == [{"id": model["id"], "name": "hello"}]
    assert 0 < row["storage"]["available"] <= row["storage"]["total"]
    assert str(demo_model).startswith(row["storage"]["mount_point"])
    assert row["identity"] and row["source"] == "local_path" and row["download_progress"] == 100
    missing = api.post("/v2/models", {"name": "lost", "source": "local_path", "replicas": 0,
                                      "local_path": "/nonexistent/lost.gguf"}).expect(200, 201)
    try:
        lost = wait_for(lambda: api.get("/v2/model-files?state=missing&search=/nonexistent/lost")
                        .json()["items"], what="the worker has looked")[0]
        assert lost["size"] is None and lost["storage"] is None and lost["resolved_paths"] == []
        assert "/nonexistent/lost.gguf" in lost["state_message"]
    finally:
        api.delete(f"/v2/models/{missing['id']}").expect(200)
    assert api.get(f"/v2/model-files/{row['id']}").expect(200)["local_path"] == str(demo_model)
    refusal = api.delete(f"/v2/model-files/{row['id']}?cleanup=true")
    assert refusal.status == 409 and "never" in refusal.json()["message"]
    assert demo_model.exists()
    assert api.get("/v2/model-files?worker_id=999").expect(200)["items"] == []


@pytest.mark.parametrize("method, path", [
    ("GET", "/v2/dashboard"), ("GET", "/v2/config"), ("PUT", "/v2/config"), ("GET", "/v2/debug"),
    ("GET", "/debug/log_level"), ("PUT", "/debug/log_level"), ("GET", "/v2/inference-backends"),
    ("GET", "/v2/model-files"), ("POST", "/v2/model-files"), ("GET", "/v2/model-files/1"),
    ("DELETE", "/v2/model-files/1"), ("POST", "/v2/model-files/1/pause"),
    ("POST", "/v2/model-files/1/resume"), ("POST", "/v2/model-files/1/reset")])
def test_all_this_is_for_administrators(serving, make_user, method, path):
    make_user("onlooker")
    user = serving.http(basic_auth("onlooker", STRONG))
    body = {"log_level": "debug"} if method == "PUT" else None
    assert user.request(method, path, body).status == 403
    assert serving.http().request(method, path, body).status == 401


# --- how a worker joins --------------------------------------------------------------------------


def test_join_tells_the_address_that_was_asked(serving, api):
    reply = api.get("/v2/workers/join")
    told = reply.expect(200)
    assert told == {"server_url": f"http://127.0.0.1:{serving.port}", "token": serving.token(),
                    "version": api.get("/version").expect(200)["version"]}
    assert reply.headers["cache-control"] == "no-store"
    assert "the cluster token was shown to administrator admin" in serving.log()
    assert serving.token() not in serving.log()


@pytest.mark.parametrize("headers, url", [
    ({"Host": "gpus.example:443", "X-Forwarded-Proto": "https"}, "https://gpus.example:443"),
    ({"X-Forwarded-Host": "front.example, inner", "X-Forwarded-Proto": "https"},
     "https://front.example"),
    ({"Host": "[::1]:8080"}, "http://[::1]:8080"),
    ({"X-Forwarded-Host": "a;reboot"}, None)])
def test_join_behind_proxies(api, headers, url):
    assert api.get("/v2/workers/join", headers=headers).expect(200)["server_url"] == url
