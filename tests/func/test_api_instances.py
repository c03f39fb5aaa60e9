# SPDX-License-Identifier: Apache-2.0
"""Instances: byte ranges of their logs, runs, how they came to be what they are; and devices."""

import pathlib
import urllib.parse

import pytest

from harness import engine_token, names, wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]
DEVICES = TOP / "tests/data/devices/ascend-910b4-8.json"


@pytest.fixture
def path(serving):
    return f"/v2/model-instances/{serving.instances('hello')[0]['id']}"


# --- the process ---------------------------------------------------------------------------------


def test_what_an_engine_was_started_with(serving, api, path):
    told = api.get(path + "/process").expect(200)
    pid = serving.instances("hello")[0]["pid"]
    assert told["pid"] == pid and told["worker"] == serving.items("/v2/workers")[0]["name"]
    assert any(part.endswith("llama-server") for part in told["command"])
    assert told["command"][told["command"].index("--port") + 1] == str(told["port"])
    assert told["env"]["GPUSTACK_MODEL_NAME"] == "hello" and told["run"] == 0
    assert "PATH" not in told["env"] and told["working_dir"].startswith("/")
    assert told["started_at"].startswith("20") and told["ranks"] == []
    assert "***" in told["env"].values()
    assert engine_token(pid) not in str(told)


# --- logs ----------------------------------------------------------------------------------------


def test_ranges_of_a_log(api, path):
    reply = api.get(path + "/logs")
    whole = reply.expect(200).encode()
    size = int(reply.headers["x-log-size"])
    assert reply.headers["x-log-first"] == reply.headers["x-log-offset"] == "0"
    assert reply.headers["x-log-run"] == "0" and len(whole) >= size > 200
    for offset, limit in ((0, 10), (100, 50), (size - 20, 20), (7, 0), (0, size)):
        part = api.get(f"{path}/logs?offset={offset}&limit={limit}")
        assert part.expect(200).encode() == whole[offset:offset + limit]
        assert part.headers["x-log-offset"] == str(offset)
        assert int(part.headers["x-log-size"]) >= size
    last = api.get(f"{path}/logs?offset=-30")
    start = int(last.headers["x-log-offset"])
    assert start == int(last.headers["x-log-size"]) - 30
    assert whole[start:start + 30] == last.body[:size - start]
    beyond = api.get(f"{path}/logs?offset={10**12}")
    assert beyond.expect(200) == "" and int(beyond.headers["x-log-offset"]) >= size


def test_a_followed_range_ends_at_its_limit(serving, api, path):
    size = int(api.get(path + "/logs?limit=0").headers["x-log-size"])
    connection, response = api.open("GET", f"{path}/logs?offset={size}&limit=100&follow=true")
    try:
        while int(api.get(path + "/logs?limit=0").headers["x-log-size"]) < size + 100:
            serving.chat("hello")
        assert len(response.read()) == 100
    finally:
        connection.close()


def test_search_in_a_log(api, path):
    reply = api.get(path + "/logs")
    whole = reply.expect(200).encode()
    found = api.get(path + "/logs/search?q=LLAMA&limit=1000").expect(200)
    lower = whole.lower()
    assert found["complete"] and found["size"] >= len(whole) and found["first"] == 0
    places = [match["offset"] for match in found["matches"]]
    assert len(places) == lower.count(b"llama") > 0
    for match in found["matches"]:
        assert lower[match["offset"]:].startswith(b"llama")
        assert match["line_start"] == whole.rfind(b"\n", 0, match["offset"]) + 1
        assert match["text"].encode() == whole[match["text_start"]:][:len(match["text"].encode())]
    latest = api.get(path + "/logs/search?q=llama&direction=backward&limit=1").expect(200)
    assert [match["offset"] for match in latest["matches"]] == places[-1:]
    before = api.get(f"{path}/logs/search?q=llama&direction=backward&limit=1000"
                     f"&from={latest['scanned_to']}").expect(200)
    assert [match["offset"] for match in before["matches"]] == places[-2::-1]
    nothing = api.get(path + "/logs/search?q=%01%26a%3D%20%25").expect(200)
    assert nothing["matches"] == [] and nothing["complete"]


@pytest.mark.parametrize("query, word", [
    ("", "q"), ("q=", "q"), ("q=a&limit=0", "limit"), ("q=a&limit=1001", "limit"),
    ("q=a&from=-1", "from"), ("q=a&direction=up", "direction"), ("q=" + "a" * 257, "q"),
    ("q=a&case=perhaps", "case")])
def test_faulty_searches_are_refused(api, path, query, word):
    assert word in api.get(f"{path}/logs/search?{query}").expect(422)["message"]


def test_a_log_of_five_gigabytes(serving, api, path):
    instance = int(path.rpartition("/")[2])
    log = serving.data_dir / f"log/serve/{instance}.0.log"
    size = 5 << 30
    end = "\nthe needle is here\n"
    before = log.stat().st_size
    try:
        with open(log, "r+b") as file:
            file.seek(size)
            file.write(end.encode())
        assert api.get(f"{path}/logs?limit=0").headers["x-log-size"] == str(size + len(end))
        assert api.get(f"{path}/logs?tail=1").expect(200) == end.lstrip()
        assert len(api.get(f"{path}/logs?offset={size // 2}&limit=1000").body) == 1000
        found = api.get(path + "/logs/search?q=needle&direction=backward&limit=1").expect(200)
        assert found["matches"][0]["text"] == "the needle is here"
        calls, at = 0, 0
        while True:
            found = api.get(f"{path}/logs/search?q=needle&from={at}").expect(200)
            calls, at = calls + 1, found["scanned_to"]
            if found["complete"]:
                break
            assert found["matches"] == [] and api.get("/v2/workers").status == 200
        assert [match["offset"] for match in found["matches"]] == [size + 5] and calls > 4
    finally:
        with open(log, "r+b") as file:
            file.truncate(before)


@pytest.mark.parametrize("query, word", [
    ("offset=x", "offset"), ("offset=1.5", "offset"), ("limit=-1", "limit"), ("tail=-1", "tail"),
    ("run=-1", "run"), ("follow=perhaps", "follow"), ("tail=3&offset=5", "together")])
def test_faulty_ranges_are_refused(api, path, query, word):
    problem = api.get(f"{path}/logs?{query}").expect(422)
    assert word in problem["message"]


def test_earlier_runs_stay_readable(serving, api, demo_model):
    serving.deploy("rerun", demo_model)
    (instance,) = serving.instances("rerun")
    path = f"/v2/model-instances/{instance['id']}"
    first = api.get(path + "/logs?run=0&limit=200").expect(200)
    serving.kill_engine("rerun")
    wait_for(lambda: api.get(path + "/log-options").json()["runs"] == [0, 1], 40, "a second run")
    assert api.get(path + "/logs?run=0&limit=200").expect(200) == first
    reply = api.get(path + "/logs")
    assert reply.headers["x-log-run"] == "1"
    serving.delete_model("rerun")


# --- timelines -----------------------------------------------------------------------------------


def test_timeline_tells_how_it_came_to_run(serving, api, path):
    items = api.get(path + "/timeline").expect(200)["items"]
    states = [item["state"] for item in items]
    assert states[0] == "pending" and states[-1] == "running", states
    for before, after in zip(items, items[1:]):
        assert before["until"] == after["since"] and before["duration_ms"] >= 0
    assert items[-1]["until"] is None and items[-1]["duration_ms"] > 0
    assert api.get("/v2/model-instances/9999/timeline").status == 404


# --- devices -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def devices(gpustack_binary, engine_dir, tmp_path_factory):
    """A server whose worker has eight 910B4, which are not really there."""
    import harness
    cluster = harness.Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("devices"),
                              args=["--fake-devices", str(DEVICES)])
    try:
        cluster.start()
        wait_for(lambda: len(cluster.items("/v2/gpu-devices")) == 8, what="devices are reported")
        yield cluster.admin
    finally:
        cluster.stop()


@pytest.mark.parametrize("query, indexes", [
    ("", [0, 1, 2, 3, 4, 5, 6, 7]),
    ("?sort_by=index", [0, 1, 2, 3, 4, 5, 6, 7]),
    ("?sort_by=-index&perPage=3&page=2", [4, 3, 2]),
    ("?index=3&index=5&sort_by=index", [3, 5]),
    ("?vendor=Huawei&type=npu&index=0", [0]),
    ("?vendor=NVIDIA", []),
    ("?search=910b4&page=-1&sort_by=index", [0, 1, 2, 3, 4, 5, 6, 7]),
    ("?search=nothing", []),
])
def test_devices_are_paged_sorted_and_filtered(devices, query, indexes):
    page = devices.get("/v2/gpu-devices" + query).expect(200)
    assert [item["index"] for item in page["items"]] == indexes
    assert page["pagination"]["total"] >= len(indexes)


def test_a_device_by_its_id(devices):
    listed = devices.get("/v2/gpu-devices?index=2").expect(200)["items"][0]
    assert listed["id"] == f"{listed['worker_name']}:npu:2"
    found = devices.get("/v2/gpu-devices/" + urllib.parse.quote(listed["id"], safe=""))
    assert found.expect(200)["uuid"] == listed["uuid"]
    memory = found.json()["memory"]
    assert memory["total"] == 32 << 30 and memory["allocated"] == 0
    problem = devices.get("/v2/gpu-devices/none:npu:2").expect(404)
    assert "worker:type:index" in problem["message"]


@pytest.mark.parametrize("query", ["colour=red", "sort_by=memory", "watch=true", "index=x"])
def test_faulty_device_lists_are_refused(devices, query):
    devices.get("/v2/gpu-devices?" + query).expect(422)


def test_instances_are_sorted(serving, api):
    page = api.get("/v2/model-instances?sort_by=state,-name&state=running").expect(200)
    assert names(page) == sorted(names(page), reverse=True)
