# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what the other tests stand on."""

import os
import signal

import conftest
import harness


def test_serving_answers_with_the_demo_sentence(serving):
    assert serving.chat("hello") == conftest.SENTENCE


def test_stream_arrives_in_events_and_ends_with_done(serving):
    body = {"model": "hello", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    events = list(serving.user().events("/v1/chat/completions", body))
    assert len(events) > 10
    assert events[-1] == "[DONE]"


def test_every_role_is_found_once(serving):
    for role in ("start", "control", "gateway", "worker", "prober"):
        assert len(serving.pids(role)) == 1, role
    assert len(serving.engine_pids()) == 1


def test_a_killed_role_is_back_and_the_engine_stays(cluster, demo_model):
    cluster.deploy("hello", demo_model)
    engines = cluster.engine_pids()
    for role in ("gateway", "worker", "control"):
        old = cluster.kill(role)
        harness.wait_for(lambda: cluster.pids(role) not in ([], [old]), 10, f"{role} is back")
    cluster.wait_ready()
    cluster.wait_running("hello")
    assert cluster.engine_pids() == engines
    assert cluster.chat("hello") == conftest.SENTENCE


def test_workers_are_added_and_stop_leaves_nothing_behind(make_cluster, demo_model):
    cluster = make_cluster().start()
    worker = cluster.add_worker("second")
    cluster.deploy("hello", demo_model, replicas=2)
    pids = [pid for node in (cluster, worker) for role in ("start", "worker")
            for pid in node.pids(role)]
    pids += cluster.engine_pids() + worker.engine_pids()
    assert len(pids) == 4 + 2
    cluster.stop()
    assert [pid for pid in pids if harness.is_alive(pid)] == []
    assert harness.nodes == [node for node in harness.nodes if node.name != "second"]


def test_terminated_manager_ends_well_and_engines_go_on(make_cluster, demo_model):
    cluster = make_cluster().start()
    cluster.deploy("hello", demo_model)
    engine = cluster.engine_pids()
    assert cluster.stop_manager() == 0
    assert cluster.engine_pids() == engine
    os.kill(engine[0], signal.SIGKILL)
    harness.wait_for(lambda: not cluster.engine_pids(), 5, "the engine is gone")
