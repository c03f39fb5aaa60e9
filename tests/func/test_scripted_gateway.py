# SPDX-License-Identifier: Apache-2.0
"""What other tests stand on: a gateway between a scripted control and scripted engines."""

import harness
import scripted
from harness import Http, wait_for


def test_changes_are_in_force_when_put_returns(scripted_gateway):
    engine = scripted_gateway.add_engine("chunks=3")
    scripted_gateway.start()
    assert scripted_gateway.post().expect(200)["usage"]["completion_tokens"] == 3
    key = scripted_gateway.add_key(id=7, allowed_model_names=["other"])
    assert scripted_gateway.post(key=key).status == 403
    scripted_gateway.change("key", 7, allowed_model_names=[])
    assert scripted_gateway.post(key=key).status == 200
    scripted_gateway.delete("key", 7)
    assert scripted_gateway.post(key=key).status == 401
    assert [entry["end"] for entry in engine.log()] == ["done", "done"]


def test_control_may_go_and_come_back(scripted_gateway):
    scripted_gateway.add_engine()
    scripted_gateway.start()
    scripted_gateway.control.stop()
    wait_for(lambda: scripted_gateway.http().get("/readyz").status == 503, what="it is missed")
    assert scripted_gateway.post().status == 200
    scripted_gateway.control.start()
    wait_for(scripted_gateway.is_ready, what="it is followed again")


def test_control_takes_each_record_once():
    control = scripted.FeedControl()
    records = [{"seq": seq} for seq in (1, 2, 3)]
    assert control.take_records({"gateway": "a", "records": records[:2]}) == (200, {"applied": 2})
    assert control.take_records({"gateway": "a", "records": records}) == (200, {"applied": 3})
    assert control.take_records({"gateway": "b", "records": records[:1]}) == (200, {"applied": 1})
    assert [(record["gateway"], record["seq"]) for record in control.records] == [
        ("a", 1), ("a", 2), ("a", 3), ("b", 1)]
    assert control.passed_over == 2


def test_a_worker_runs_it_as_an_engine(gpustack_binary, demo_model, tmp_path):
    engines = scripted.install_engine(tmp_path / "engines", "chunks=2")
    cluster = harness.Cluster(gpustack_binary, engines, tmp_path)
    try:
        cluster.start()
        cluster.deploy("hello", demo_model)
        assert cluster.chat("hello") == "00000001"
        engine = Http("127.0.0.1", cluster.instances("hello")[0]["port"])
        assert engine.get("/script/totals").expect(200)["completion_tokens"] == 2
    finally:
        cluster.stop()
