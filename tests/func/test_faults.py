# SPDX-License-Identifier: Apache-2.0
"""Faults for real: processes that stop, networks that lose packets, a database that is held.

Faults that last a minute are scenarios: functions that run in threads, all during the same minute,
beside the tests of this file that need no minute. Their tests stand last and take the outcomes.
"""

import collections
import concurrent.futures
import contextlib
import datetime
import glob
import ipaddress
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import SENTENCE
from harness import Cluster, Worker, free_ports, is_alive, read_proc, wait_for
from load import Load, ModelWriter, Reader, SlowStream
from netns import JoinedNetwork, network_fault
from stall_relay import StallRelay

MINUTE_S = 60
ROUNDS = int(os.environ.get("GPUSTACK_FAULT_ROUNDS", "2"))


# --- what a fault must not change ----------------------------------------------------------------


def facts(cluster, *models):
    """What stays the same through every fault: who serves, as which process, never restarted."""
    return {item["name"]: (item["id"], item["state"], item["pid"], item["worker_name"],
                           item["restart_count"])
            for item in cluster.items("/v2/model-instances")
            if not models or item["model_name"] in models}


def wait_same(cluster, before, *models):
    def same():
        now = facts(cluster, *models)
        if now != before:
            raise ValueError(f"{now} is not {before}")
        return True

    wait_for(same, 45, "all instances are as before", pause=0.2)


def wait_connected(cluster):
    def has_control():
        return (cluster.http().get("/readyz").status == 200
                and cluster.admin.get("/v2/users").status == 200)

    wait_for(has_control, what="the gateway has control", pause=0.1)


def events_of(cluster, worker):
    """Codes of what happened to a worker."""
    return {item["reason"] for item in cluster.items("/v2/events?page=-1")
            if item["object_kind"] == "worker" and item["object_name"] == worker}


def own_worker(cluster):
    """Name of the worker that runs beside the server, waited for."""
    def name():
        uuid = (cluster.data_dir / "worker_uuid").read_text().strip()
        found = [item for item in cluster.items("/v2/workers") if item["worker_uuid"] == uuid]
        return found[0]["name"] if found and found[0]["status"] else None

    return wait_for(name, 20, "the server's own worker has reported", pause=0.1)


def deploy_on(cluster, worker, name, model_file):
    """A model of one instance on that worker; returns the instance."""
    cluster.deploy(name, model_file, timeout=60, worker_selector={"worker-name": worker})
    (item,) = cluster.instances(name)
    assert item["worker_name"] == worker
    return item


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# --- scenarios -----------------------------------------------------------------------------------


def control_stopped(cluster, demo_model, endless_model):
    cluster.start()
    cluster.deploy("hello", demo_model, timeout=60)
    cluster.deploy("endless", endless_model, timeout=60)
    before, control = facts(cluster), cluster.pid("control")
    with SlowStream(cluster.user(), "endless", max_tokens=4000) as slow, \
            Load(cluster, "hello", "endless", pause=0.25) as load:
        wait_for(lambda: slow.count > 5, what="the stream runs")
        load.wait_more()
        with stopped(control):
            time.sleep(MINUTE_S)
            load.wait_more() # these began and ended without control
        seen = slow.count
        slow.hurry()
        slow.join(120)
        assert slow.count > seen
        assert slow.ended_normally(), (slow.error, slow.events)
        wait_same(cluster, before)
        wait_for(lambda: cluster.worker_state(own_worker(cluster)) == "ready", 30,
                 "the worker is ready")
        load.wait_more()
    assert load.faults() == []
    assert cluster.pid("control") == control
    assert sorted(cluster.engine_pids()) == sorted(fact[2] for fact in before.values())
    # Control was away, not its workers.
    assert not [row for row in cluster.items("/v2/events") if row["reason"] == "lost"]


class Silence:
    """A worker that falls silent: how to bring it about and how to end it."""

    def __init__(self, cluster, worker, begin, end, is_near=True, look=None):
        self.cluster, self.worker = cluster, worker
        self.begin, self.end = begin, end
        self.is_near = is_near     # its engines are reached without it
        self.look = look or (lambda: None)  # also called while it is silent
        self.model = f"on-{worker}"

    def state(self):
        return self.cluster.worker_state(self.worker)

    def check_kept(self, before):
        """Out of sight is not gone."""
        (fact,) = before.values()
        for now in facts(self.cluster, self.model).values():
            assert now == (fact[0], "unreachable", *fact[2:])
        assert is_alive(fact[2])
        if self.is_near:
            assert self.cluster.chat(self.model).strip() == SENTENCE

    def run(self, model_file):
        deploy_on(self.cluster, self.worker, self.model, model_file)
        before = facts(self.cluster, self.model)
        since = time.monotonic()
        self.begin()
        try:
            wait_for(lambda: self.state() == "not_ready", 90, f"{self.worker}: silence is noticed",
                     pause=0.5)
            # What the gateway knows from here on is newer than that state.
            self.cluster.make_key({"name": f"later-{self.worker}"})
            self.check_kept(before)
            self.look()
            time.sleep(max(0, since + MINUTE_S - time.monotonic()))
            self.check_kept(before)
        finally:
            self.end()
        wait_for(lambda: self.state() == "ready", 45, f"{self.worker} is ready", pause=0.2)
        wait_same(self.cluster, before, self.model)
        assert self.cluster.chat(self.model).strip() == SENTENCE
        assert {"lost", "back"} <= events_of(self.cluster, self.worker)


def established(pid, address, port=None):
    """How many TCP connections to an address are open in the network namespace of a process."""
    raw = int.from_bytes(ipaddress.ip_address(address).packed, "little")
    with open(f"/proc/{pid}/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    remote = [row[2].split(":") for row in rows if row[3] == "01"]
    return sum(int(host, 16) == raw and port in (None, int(number, 16))
               for host, number in remote)


def lost_packets(cluster, network, name, **directions):
    """A worker in a network of its own, whose packets will get lost in some directions."""
    worker = cluster.add_worker(name, netns=network.name, host=network.far,
                                server_url=f"http://{network.near}:{cluster.port}")
    pid = worker.pid("worker")

    def connections():
        return established(pid, network.near, cluster.port)

    def look():
        wait_for(lambda: connections() == 0, 30, f"{name}: its dead connections are closed",
                 pause=0.2)

    def end():
        network.heal()
        assert worker.pid("worker") == pid

    assert connections() > 0
    return Silence(cluster, name, lambda: network.lose(**directions), end, False, look)


def worker_stopped(cluster):
    pid = cluster.pid("worker")

    def end():
        os.kill(pid, signal.SIGCONT)
        assert cluster.pid("worker") == pid

    return Silence(cluster, own_worker(cluster), lambda: os.kill(pid, signal.SIGSTOP), end)


def stalled_relay(cluster, relay):
    worker = cluster.add_worker("stalled", server_url=relay.url)
    pid = worker.pid("worker")

    def end():
        relay.go_on()
        assert worker.pid("worker") == pid

    return Silence(cluster, "stalled", relay.stall, end)


def check_written(cluster, writers):
    """What was acknowledged is there, what was refused isn't, and nothing is there by half."""
    models = {item["name"]: item for item in cluster.items("/v2/models?page=-1")}
    instances = collections.Counter(item["model_id"] for item in
                                    cluster.items("/v2/model-instances?page=-1"))
    for writer in writers:
        for name, description in writer.there.items():
            assert name in models, f"{name} was acknowledged"
            if description:
                assert models[name]["description"] == description
        assert not [name for name in writer.gone | writer.refused if name in models]
    assert instances == {item["id"]: 1 for item in models.values()}
    for item in models.values():
        assert cluster.items(f"/v2/models/{item['id']}/revisions"), f"{item['name']} has a revision"


def database_held(cluster, demo_model):
    cluster.start()
    cluster.deploy("hello", demo_model, timeout=60)
    before, control = facts(cluster, "hello"), cluster.pid("control")
    writers = [ModelWriter(cluster, f"w{number}") for number in range(4)]
    reader = Reader(cluster)
    holder = sqlite3.connect(cluster.data_dir / "database.db", timeout=30, isolation_level=None)
    with Load(cluster, "hello", pause=0.25) as load:
        for writer in writers:
            writer.start()
        wait_for(lambda: all(writer.there for writer in writers), what="all write")
        holder.execute("BEGIN EXCLUSIVE")
        held = time.monotonic()
        try:
            reader.start()
            time.sleep(MINUTE_S)
            load.wait_more()
            reader.stop()
        finally:
            freed = time.monotonic()
            holder.execute("ROLLBACK")
            holder.close()
        wait_for(lambda: all(writer.acknowledged[-1] > freed for writer in writers), 60,
                 "all write again")
        for writer in writers:
            writer.stop()
    assert load.faults() == []
    assert cluster.pid("control") == control
    assert "writes wait for the database since" in cluster.log()
    wait_for(lambda: "writes no longer wait for the database" in cluster.log(), what="it is told")
    for writer in writers:
        # What was durable just before may be acknowledged just after it was held.
        early = [when - held for when in writer.acknowledged if held + 5 < when < freed]
        assert not early, "nothing is acknowledged that isn't durable"
    assert len(reader.took) > MINUTE_S
    assert sorted(reader.took)[len(reader.took) * 95 // 100] < 1
    cluster.kill("control")
    wait_connected(cluster)
    wait_same(cluster, before, "hello")
    check_written(cluster, writers)


# --- the minute ----------------------------------------------------------------------------------


class Minute:
    """Scenarios that run at the same time; a test takes the outcome of each."""

    def __init__(self, stack):
        self.stack = stack         # closed when all is over
        self.pool = concurrent.futures.ThreadPoolExecutor(16)
        self.outcomes = {}
        stack.callback(self.pool.shutdown)

    def begin(self, name, function, *args):
        self.outcomes[name] = self.pool.submit(function, *args)
        return self.outcomes[name]

    def check(self, name):
        """Raises what the scenario raised."""
        self.outcomes[name].result(240)


@pytest.fixture(scope="module")
def minute(gpustack_binary, engine_dir, demo_model, endless_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("minute")

    def make(name, *args):
        made = Cluster(gpustack_binary, engine_dir, folder / name, args=list(args), name=name)
        stack.callback(made.stop)
        return made

    with contextlib.ExitStack() as stack:
        frozen, silent, held = make("frozen"), make("silent"), make("held")
        networks, relays = contextlib.ExitStack(), contextlib.ExitStack()
        stack.enter_context(networks)
        stack.enter_context(relays)
        minute = Minute(stack)
        minute.begin("control stopped", control_stopped, frozen, demo_model, endless_model)
        silent.listen = "0.0.0.0"
        started = minute.begin("silent started", lambda: silent.start().api_key())

        def silence(make_silence, *args, **options):
            started.result()
            make_silence(silent, *args, **options).run(demo_model)

        minute.begin("worker stopped", silence, worker_stopped)
        relay = relays.enter_context(StallRelay(silent.port))
        minute.begin("relay stalled", silence, stalled_relay, relay)
        if not network_fault():
            for name, there, back in (("cut", True, True), ("deaf", True, False),
                                      ("mute", False, True)):
                network = networks.enter_context(JoinedNetwork())
                minute.begin(name, lambda *args: silence(lost_packets, *args[:2], there=args[2],
                                                         back=args[3]), network, name, there, back)
        minute.begin("database held", database_held, held, demo_model)
        yield minute


@pytest.fixture(scope="module", autouse=True)
def minute_begins_early(request):
    """So that it passes beside the other tests of this file."""
    if any(item.module is request.module and "minute" in item.fixturenames
           for item in request.session.items):
        request.getfixturevalue("minute")


# --- faults that need no minute ------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(gpustack_binary, engine_dir, demo_model, endless_model, tmp_path_factory):
    """A server with a worker that runs both models."""
    made = Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("site"), name="site")
    try:
        made.start()
        made.deploy("hello", demo_model, timeout=60)
        made.deploy("endless", endless_model, timeout=60)
        yield made
    finally:
        made.stop()


def dismiss(cluster, worker):
    """Stops a worker for good and takes it off the list, and the models that were on it."""
    name = worker.name
    for item in cluster.items("/v2/models"):
        if item["worker_selector"].get("worker-name") == name:
            cluster.admin.delete(f"/v2/models/{item['id']}").expect(200)
    worker.stop()
    cluster.workers.remove(worker)
    for item in cluster.items("/v2/workers"):
        if item["name"] == name:
            cluster.admin.delete(f"/v2/workers/{item['id']}").expect(200)


@pytest.fixture
def add_worker(site):
    """Function (name, **options) -> a worker that goes when the test ends."""
    added = []

    def add(name, **options):
        added.append(site.add_worker(name, **options))
        return added[-1]

    yield add
    for worker in added:
        dismiss(site, worker)


def heartbeat(cluster, name):
    return next(item["heartbeat_time"] for item in cluster.items("/v2/workers")
                if item["name"] == name)


def wait_heartbeats(cluster, name, count):
    for _ in range(count):
        last = heartbeat(cluster, name)
        wait_for(lambda: heartbeat(cluster, name) != last, 20, f"{name} reports", pause=0.1)


def log_time(node, words):
    """When a log has a line with these words for the first time."""
    line = next(line for line in node.log().splitlines() if words in line)
    return datetime.datetime.fromisoformat(line.split()[0])


def is_about(one, other):
    return abs(one - other) < datetime.timedelta(hours=1)


def test_worker_whose_clock_is_a_day_off_stays_ready_and_serves(site, add_worker, demo_model):
    (library,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    shifts = {"ahead": 1, "behind": -1}
    for name, days in shifts.items():
        worker = add_worker(name, env={"LD_PRELOAD": library, "FAKETIME": f"{days:+}d",
                                       "DONT_FAKE_MONOTONIC": "1"})
        shifted = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        assert is_about(log_time(worker, "joined the cluster"), shifted), "its clock is off"
        deploy_on(site, name, f"clock-{name}", demo_model)
    before = facts(site)
    for name in shifts:
        wait_heartbeats(site, name, 2)
        assert site.worker_state(name) == "ready"
        assert site.chat(f"clock-{name}").strip() == SENTENCE
        assert "lost" not in events_of(site, name)
        beat = datetime.datetime.fromisoformat(heartbeat(site, name))
        assert is_about(beat, datetime.datetime.now(datetime.UTC)), "by the server's clock"
    assert facts(site) == before


def engine_command(pid, port):
    """The command of a running engine, for another port."""
    argv = [word for word in read_proc(pid, "cmdline") if word]
    argv[argv.index("--port") + 1] = str(port)
    return argv


def environment(pid):
    return dict(entry.split("=", 1) for entry in read_proc(pid, "environ") if "=" in entry)


@contextlib.contextmanager
def strangers(pid, *environments):
    """Engines like `pid` that nobody of the cluster started; yields their processes."""
    first = free_ports(len(environments))
    plain = {key: value for key, value in environment(pid).items()
             if not key.startswith("GPUSTACK_")}
    processes = [subprocess.Popen(engine_command(pid, first + number), env={**plain, **extra},
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
                 for number, extra in enumerate(environments)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_orphan_ends_when_its_worker_is_back_and_engines_of_others_are_left_alone(site, add_worker,
                                                                                  demo_model):
    worker = add_worker("away")
    item = deploy_on(site, "away", "orphan", demo_model)
    engine = item["pid"]
    own = environment(engine)
    with strangers(engine, {}, {**own, "GPUSTACK_CLUSTER_ID": "another"},
                   {**own, "GPUSTACK_CLUSTER_ID": "another", "GPUSTACK_INSTANCE_ID": "4711"},
                   {**own, "GPUSTACK_WORKER_UUID": "another"}) as others:
        assert worker.stop_manager() == 0
        assert is_alive(engine)
        site.admin.delete(f"/v2/model-instances/{item['id']}").expect(200)
        worker.start()
        wait_for(lambda: not is_alive(engine), 30, "the orphan is gone")
        fresh = wait_for(lambda: [row for row in site.wait_running("orphan")], 30)[0]
        assert fresh["id"] != item["id"] and fresh["pid"] != engine
        worker.kill("worker")  # and the next one leaves them alone too
        wait_for(lambda: worker.pid("worker") and worker.is_ready(), what="the worker is back")
        wait_heartbeats(site, "away", 1)
        assert [process.poll() for process in others] == [None] * len(others)
        assert facts(site, "orphan")[fresh["name"]][2] == fresh["pid"]


def test_two_workers_with_the_same_hostname_are_two_workers(site, demo_model):
    first = own_worker(site)
    second = Worker(site, "twin")
    plain = second.command()
    second.command = lambda: [word for word in plain if word not in ("--worker-name", "twin")]
    site.workers.append(second)
    second.start()

    def rows():
        found = [item for item in site.items("/v2/workers") if item["state"] == "ready"]
        return found if len(found) == 2 and all(item["status"] for item in found) else None

    both = wait_for(rows, 20, "both are ready")
    assert both[0]["hostname"] == both[1]["hostname"]
    assert len({item["worker_uuid"] for item in both}) == 2
    (second.name,) = {item["name"] for item in both} - {first}
    for number, name in enumerate((first, second.name)):
        item = deploy_on(site, name, f"twin-{number}", demo_model)
        owner = second if number else site
        assert item["pid"] in owner.engine_pids()
        assert site.chat(f"twin-{number}").strip() == SENTENCE
    before = facts(site)
    second.kill("worker")
    wait_for(second.is_ready, what="the second is back")
    wait_heartbeats(site, second.name, 1)
    assert {item["id"] for item in rows()} == {item["id"] for item in both}, "each is who it was"
    wait_same(site, before)
    dismiss(site, second)
    site.delete_model("twin-0")


def test_kill_9_in_loops_under_load_costs_no_engine_and_only_what_a_gateway_had(site):
    before = facts(site)
    outages = []                   # when a gateway was killed, and when the next one was ready
    with Load(site, "hello", "endless", "hello", "endless", pause=0.02) as load:
        load.wait_more(1)
        for _ in range(ROUNDS):
            for role in ("control", "worker", "gateway"):
                begin = time.monotonic()
                old = site.kill(role)
                wait_for(lambda: site.pids(role) not in ([], [old]), 20, f"{role} is back")
                if role == "gateway":
                    # It says 503 until it has control's state, and control was killed just before.
                    wait_connected(site)
                    outages.append((begin, time.monotonic()))
                load.wait_more(1)
        wait_connected(site)
        wait_same(site, before)
        load.wait_more(1)
    unexplained = [request for request in load.faults()
                   if not any(request.begin < end and request.end > begin
                              for begin, end in outages)]
    assert unexplained == []
    assert sorted(site.engine_pids()) == sorted(fact[2] for fact in before.values())
    assert site.worker_state(own_worker(site)) == "ready"


# --- outcomes of the minute ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cut", "deaf", "mute"])
def test_lost_packets_cost_no_instance(minute, name):
    fault = network_fault()
    if fault:
        pytest.skip(f"NOT TESTED, packets that are lost: {fault}")
    minute.check(name)


def test_worker_stopped_for_a_minute_is_served_on_and_comes_back_with_the_same_engine(minute):
    minute.check("worker stopped")


def test_silence_without_a_closed_connection_is_noticed_and_costs_no_instance(minute):
    minute.check("relay stalled")


def test_control_stopped_for_a_minute_breaks_no_stream_and_no_request(minute):
    minute.check("control stopped")


def test_held_database_delays_writes_and_nothing_else(minute):
    minute.check("database held")
