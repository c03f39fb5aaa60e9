# SPDX-License-Identifier: Apache-2.0
"""The load generator of the benchmarks sees what it says it sees: figures stand on it."""

import json
import subprocess

import pytest

import scripted

STREAM = '{"model":"m","stream":true}'


@pytest.fixture(scope="module")
def load():
    """Function (script, *arguments) -> report of a load on an engine with that script."""
    generator = scripted.build_program("load/load-generator")
    engine = scripted.ScriptedEngine().start()

    def run(script, *arguments):
        engine.reset()
        engine.set_default(script)
        done = subprocess.run([generator, "--port", str(engine.port), *arguments],
                              stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout), engine.totals()

    yield run
    engine.stop()


def faults(report):
    return {name: count for name, count in report["errors"].items() if count}


def test_each_request_is_made_and_counted(load):
    report, engine = load("size=100", "--body", "{}", "-c", "8", "--requests", "500")
    assert report["requests"] == report["ok"] == engine["done"] == 500 and not faults(report)
    assert report["body_bytes"] == 50000 and report["connects"] == 8
    assert report["latency"]["count"] == 500


def test_bodies_have_their_size(load):
    report, engine = load("", "--body", '{"a":"PAD"}', "--pad", "300000", "--requests", "3")
    assert report["ok"] == 3


def test_latency_is_not_less_than_it_was(load):
    report, _ = load("head_ms=20", "--body", "{}", "--requests", "5")
    assert 20000 * 0.98 <= report["latency"]["p50"] <= report["latency"]["max"]
    # Ten a second for one connection that takes 150 ms: what waits is late from its own time on.
    report, _ = load("head_ms=150", "--body", "{}", "--requests", "4", "--rate", "10")
    assert report["latency"]["max"] >= 290000


@pytest.mark.parametrize("script, fault", [
    ("cut=head:5", "reset"),
    ("cut=body:5", "cut"),
    ("length=5", "cut"),
    ("length=-1", "bad"),
    ("garbage=100", "reset"),  # no head at all
    ("bad_chunk=0 framing=chunked", "bad"),
    ("status=503", "status"),
])
def test_faults_have_their_names(load, script, fault):
    report, _ = load(script, "--body", "{}", "--requests", "2")
    assert report["ok"] == 0 and faults(report) == {fault: 2}


def test_streams_are_counted_event_by_event(load, tmp_path):
    def stream(script, events):
        return load(script, "--body", STREAM, "-c", "4", "--requests", "8", "--events", str(events))
    report, _ = stream("chunks=300 bytes=900", 300)
    assert report["ok"] == 8 and report["events"] == 2400
    assert stream("chunks=30 trickle=7", 30)[0]["ok"] == 8
    assert faults(stream("chunks=30", 31)[0]) == {"events": 8}
    assert faults(stream("chunks=30 done=0", 30)[0]) == {"events": 8}
    swapped = tmp_path / "swapped"
    swapped.write_text("".join('data: {"content":"%d"}\n\n' % i for i in (0, 2, 1))
                       + "data: [DONE]\n\n")
    assert faults(stream(f"file={swapped}", 3)[0]) == {"events": 8}
