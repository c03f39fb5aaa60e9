# SPDX-License-Identifier: Apache-2.0
"""What hangs without an error: the disk under the database, a gateway's connection to control."""

import time

import pytest

from conftest import SENTENCE
from frozen_disk import FrozenDisk, frozen_disk_fault
from harness import Cluster, Http, Node, wait_for
from load import Load, ModelWriter, Reader, SlowStream
from stall_relay import StallRelay
from test_faults import check_written, facts, wait_connected, wait_same


class Gateway(Node):
    """A gateway elsewhere, which reaches the server by `url` only."""

    ready_path = "/readyz"

    def __init__(self, cluster, name, url):
        super().__init__(cluster.binary, cluster.engine_dir, cluster.folder, name)
        self.cluster, self.url = cluster, url

    def command(self):
        return [self.binary, "gateway", "--data-dir", str(self.data_dir), "--server-url", self.url,
                "--token", self.cluster.token(), "--host", "127.0.0.1", "--port", str(self.port)]

    def ready_port(self):
        return self.port

    def user(self):
        return Http("127.0.0.1", self.port, self.cluster.api_key())


@pytest.fixture(scope="module")
def site(gpustack_binary, engine_dir, demo_model, endless_model, tmp_path_factory):
    """A server that runs both models."""
    made = Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("site"), name="site")
    try:
        made.start()
        made.deploy("hello", demo_model, timeout=60)
        made.deploy("endless", endless_model, timeout=60)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", autouse=True)
def elsewhere(site):
    """A gateway whose connection to the server has stalled before the first test: it passes beside
    the other one. (gateway, relay, stream that was under way)"""
    with StallRelay(site.port) as relay:
        gateway = Gateway(site, "elsewhere", relay.url)
        try:
            gateway.start()
            with SlowStream(gateway.user(), "endless", max_tokens=3000) as stream:
                wait_for(lambda: stream.count > 5, what="the stream runs")
                relay.stall()
                yield gateway, relay, stream
        finally:
            gateway.stop()


def test_hanging_disk_delays_writes_and_nothing_else(gpustack_binary, engine_dir, demo_model,
                                                     tmp_path):
    fault = frozen_disk_fault(tmp_path / "probe")
    if fault:
        pytest.skip(f"NOT TESTED, a disk that hangs: {fault}")
    with FrozenDisk(tmp_path) as disk:
        cluster = Cluster(gpustack_binary, engine_dir, tmp_path, name="frozen",
                          args=["--database-url", f"sqlite:///{disk.path}/database.db"])
        try:
            cluster.start()
            cluster.deploy("hello", demo_model, timeout=60)
            check_hanging_disk(cluster, disk)
        finally:
            cluster.stop()


def check_hanging_disk(cluster, disk):
    before, control = facts(cluster, "hello"), cluster.pid("control")
    writers = [ModelWriter(cluster, f"w{number}") for number in range(3)]
    reader = Reader(cluster)
    with Load(cluster, "hello", pause=0.25) as load:
        for writer in writers:
            writer.start()
        wait_for(lambda: all(writer.there for writer in writers), what="all write")
        with disk.frozen():
            frozen = time.monotonic()
            reader.start()
            wait_for(lambda: "writes wait for the database" in cluster.log(), 40, "it is told")
            load.wait_more()
            reader.stop()
            thawed = time.monotonic()
        wait_for(lambda: all(writer.acknowledged[-1] > thawed for writer in writers), 60,
                 "all write again")
        for writer in writers:
            writer.stop()
    wait_for(lambda: "writes no longer wait for the database" in cluster.log(), what="it is told")
    assert load.faults() == []
    assert len(reader.took) > 5
    assert cluster.pid("control") == control
    for writer in writers:
        # What was durable just before may be acknowledged just after the freeze.
        assert not [when for when in writer.acknowledged if frozen + 5 < when < thawed]
        assert not writer.refused, "they were made to wait, not turned away"
    cluster.kill("control")
    wait_connected(cluster)
    wait_same(cluster, before, "hello")
    check_written(cluster, writers)


def test_gateway_whose_connection_to_control_stalls_serves_on_and_catches_up(site, elsewhere):
    gateway, relay, stream = elsewhere
    before = facts(site)
    late = site.make_key({"name": "late"})  # waits for the server's own gateway to know it
    stranger = Http("127.0.0.1", gateway.port, late)
    body = {"model": "hello", "messages": [{"role": "user", "content": "Who are you?"}]}

    def answer(user):
        reply = user.post("/v1/chat/completions", body).expect(200)
        return reply["choices"][0]["message"]["content"].strip()

    wait_for(lambda: "control can't be followed" in gateway.log(), 40, "the silence is noticed")
    assert gateway.user().get("/readyz").status == 503
    assert answer(gateway.user()) == SENTENCE
    assert stranger.post("/v1/chat/completions", body).status == 401, "it has not heard of it"
    relay.go_on()
    wait_for(lambda: gateway.user().get("/readyz").status == 200, 30, "it follows control again")
    assert answer(stranger) == SENTENCE
    stream.hurry()
    stream.join(120)
    assert stream.ended_normally(), (stream.error, stream.events)
    assert facts(site) == before
    assert sorted(site.engine_pids()) == sorted(fact[2] for fact in before.values())
