# SPDX-License-Identifier: Apache-2.0
"""History of figures and live rates: of devices, workers and requests, over a restart."""

import json
import time

import pytest

from harness import Cluster, Stream, wait_for

DEVICES = [{"type": "npu", "name": "910B4", "count": 2, "memory_total": 34359738368,
            "memory_used": 1 << 30, "core_utilization": 50, "temperature": 41.5, "power": 120,
            "moves": 40}]
RATES = ["tokens_in_per_second", "tokens_out_per_second", "requests_per_second",
         "errors_per_second", "running", "waiting", "ttft_p50_ms", "ttft_p95_ms"]


@pytest.fixture(scope="module")
def cluster(gpustack_binary, engine_dir, endless_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("timeseries")
    (folder / "devices.json").write_text(json.dumps(DEVICES))
    cluster = Cluster(gpustack_binary, engine_dir, folder,
                      args=["--fake-devices", str(folder / "devices.json")]).start()
    cluster.deploy("endless", endless_model)
    yield cluster
    cluster.stop()


def history(cluster, query):
    return cluster.admin.get(f"/v2/timeseries?{query}").expect(200)


def known(values):
    return [value for value in values if value is not None]


def rates(cluster):
    return cluster.admin.get("/v2/rates").expect(200)


def test_long_streams_show_tokens_while_they_run(cluster):
    model = cluster.model("endless")["id"]
    with Stream(cluster.user(), "endless"):
        seen = wait_for(lambda: (now := rates(cluster)) and now["cluster"]["running"] == 1 and
                        now["cluster"]["tokens_out_per_second"] and now, what="live rates")
        row, = [row for row in seen["models"] if row["id"] == model]
        assert row["name"] == "endless" and set(row) == {"id", "name", *RATES}
        assert row["tokens_out_per_second"] > 0 and row["running"] == 1
        assert row["ttft_p50_ms"] > 0
        wait_for(lambda: known(history(
            cluster, f"entity=model&id={model}&metrics=running")["items"][0]["series"]["running"])
            [-1:] > [0], timeout=40, what="a step with the stream in it")
    wait_for(lambda: rates(cluster)["cluster"]["running"] == 0, what="nothing runs")
    wait_for(lambda: rates(cluster)["cluster"]["tokens_out_per_second"] == 0, what="silence")
    answer = history(cluster, f"entity=model&id={model}")
    series = answer["items"][0]["series"]
    assert set(series) == set(RATES) and answer["step_seconds"] == 10
    assert all(len(values) == answer["points"] for values in series.values())
    assert max(known(series["tokens_out_per_second"])) > 0
    assert max(known(series["ttft_p95_ms"])) > 0


def live_tokens(cluster):
    reply = cluster.admin.get("/v2/rates")
    now = reply.status == 200 and reply.json()["cluster"]
    return now and now["running"] == 1 and now["tokens_out_per_second"]


LAG = 500    # tokens that the gateway has passed on and the test has not read yet


def test_live_rates_come_back_after_control_was_killed(cluster):
    with Stream(cluster.user(), "endless") as stream:
        wait_for(lambda: stream.count > 2000, 60, "many tokens have passed")
        wait_for(lambda: live_tokens(cluster), what="live rates")
        before = stream.count
        cluster.kill("control")
        wait_for(lambda: live_tokens(cluster), what="live rates of the new control")
        for _ in range(20):
            # A rate is over two seconds at least: what passed before the kill is in none.
            rate = live_tokens(cluster) or 0
            passed = stream.count - before
            assert 2 * rate <= passed + LAG, f"{rate} a second, {passed} tokens, {before} before"


def test_devices_workers_and_the_cluster_have_series(cluster):
    name = cluster.items("/v2/workers")[0]["name"]
    ids = f"{name}:npu:0,{name}:npu:1,nobody:npu:0"
    answer = wait_for(lambda: (now := history(cluster, f"entity=device&id={ids}")) and known(
        now["items"][0]["series"]["utilization"]) and now, timeout=30, what="a device's step")
    first, second, nobody = answer["items"]
    assert [item["id"] for item in answer["items"]] == ids.split(",")
    assert all(30 <= value <= 70 for value in known(first["series"]["utilization"]))
    assert all(70 <= value <= 170 for value in known(second["series"]["power"]))
    memory = known(first["series"]["memory_used"])[-1]
    assert abs(memory - (1 << 30)) <= (1 << 30) / 1000
    assert not known(nobody["series"]["power"])
    worker = history(cluster, "entity=worker&id=1")["items"][0]["series"]
    assert known(worker["cpu"]) and known(worker["ram_used"])[-1] > 1 << 20
    total = known(history(cluster, "entity=cluster")["items"][0]["series"]["memory_used"])[-1]
    assert abs(total - (2 << 30)) <= (2 << 30) / 1000
    assert known(worker["memory_used"])[-1] == total


def test_steps_fit_the_range(cluster):
    now = int(time.time())
    for span, step in ((3600, 10), (6 * 3600, 30), (24 * 3600, 120), (14 * 24 * 3600, 1800)):
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - span))
        answer = history(cluster, f"entity=cluster&metrics=cpu&start={start}")
        assert answer["step_seconds"] == step and answer["points"] <= 721
    assert history(cluster, "entity=cluster&step=60")["step_seconds"] == 60


@pytest.mark.parametrize("query, words", [
    ("entity=user", "device"), ("entity=worker", "id must be"),
    ("entity=model&id=x", "ids of models"), ("entity=cluster&id=1", "left out"),
    ("entity=cluster&metrics=power,speed", "tokens_out_per_second"),
    ("entity=device&id=a:b:0&metrics=cpu", "utilization"),
    ("entity=cluster&step=15", "multiple of 10"), ("entity=cluster&step=5", "10"),
    ("entity=cluster&start=2026-01-02&end=2026-01-01", "before"),
    ("entity=cluster&start=2020-01-01&step=10", "points"),
    ("entity=model&id=" + ",".join(["1"] * 257), "256"),
    ("entity=model&step=10&id=" + ",".join(["1"] * 256), "200000"),
    ("entity=cluster&from=1", "from")])
def test_wrong_parameters_are_named(cluster, query, words):
    reply = cluster.admin.get(f"/v2/timeseries?{query}")
    assert reply.status == 422 and words in reply.json().get("message", ""), reply.text[:500]


def test_gateways_that_are_not_known_must_tell_all(cluster):
    gateway = cluster.http(cluster.token())
    post = {"gateway": "g", "age_ms": 0, "is_complete": False, "models": []}
    assert cluster.user().post("/v2/gateway-samples", post).status in (401, 403)
    assert gateway.post("/v2/gateway-samples", post).status == 409
    assert gateway.post("/v2/gateway-samples", {**post, "is_complete": True}).status == 204
    assert gateway.post("/v2/gateway-samples", post).status == 204
    assert gateway.post("/v2/gateway-samples", {**post, "models": [{"model_id": 1}]}).status == 422


def cpu_since(cluster, start):
    answer = history(cluster, f"entity=cluster&metrics=cpu&step=10&start={start}")
    return answer["items"][0]["series"]["cpu"]


def test_history_survives_restarts_of_the_server(cluster):
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1800))
    before = cpu_since(cluster, start)
    cluster.stop_manager()
    file = cluster.data_dir / "timeseries"
    assert file.stat().st_size > 1000 and file.stat().st_mode & 0o777 == 0o600
    cluster.start()
    after = cpu_since(cluster, start)
    assert known(before) == known(after)[:len(known(before))]
    cluster.stop_manager()
    file.write_bytes(file.read_bytes()[:-10])
    cluster.start()
    assert "the history begins anew" in cluster.log()
    assert not known(cpu_since(cluster, start))
