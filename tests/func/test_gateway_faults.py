# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a gateway: control away, keys revoked, disks full, descriptors used up,
clients that are slow, many or in a hurry; and what it tells of all that."""

import collections
import concurrent.futures
import http.client
import json
import os
import re
import resource
import signal
import socket
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

import harness
import scripted
from harness import wait_for
from raw_http import RawClient
from small_disk import SmallDisk, small_disk_fault

CHAT = "/v1/chat/completions"
DEFAULT = "chunks=8 prompt=20"
BAD_SYSTEM = 78
CONNECTIONS = 2000
STORM = 3000
MIB = 1 << 20


@pytest.fixture
def gateway(scripted_gateway):
    """With an engine, not started."""
    scripted_gateway.engine = scripted_gateway.add_engine(DEFAULT)
    return scripted_gateway


@pytest.fixture(scope="module", autouse=True)
def many_files():
    """This process needs as many descriptors as it opens connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 2 * STORM + 1000
    if hard != resource.RLIM_INFINITY and hard < want:
        pytest.skip(f"needs {want} open files, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def begin_stream(gateway, script="stall=chunk:1", **options):
    """A stream that has begun; its client reads no further by itself."""
    client = RawClient(gateway.port, **options)
    client.ask("POST", CHAT, {"model": "m", "stream": True, "script": script}, auth=gateway.key)
    assert client.head()[0] == 200
    return client


def code_of(reply):
    return reply.status, reply.json()["error"]["code"]


def metrics_of(gateway, **options):
    """{(name of the sample, labels as a frozen set): value}."""
    text = gateway.http().get("/metrics", **options).expect(200)
    return {(sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


def metric(gateway, name, **labels):
    return sum(value for (sample, of), value in metrics_of(gateway).items()
               if sample == f"gpustack_gateway_{name}" and labels.items() <= dict(of).items())


def memory(gateway):
    return harness.pss_bytes(gateway.pid)


# --- without control -----------------------------------------------------------------------------


def test_control_away_and_a_restart_meanwhile(gateway):
    """It serves with what it knew last: also a key that was revoked stays so."""
    gateway.start()
    revoked = gateway.add_key(id=7)
    gateway.delete("key", 7)
    running = begin_stream(gateway, "chunks=3 stall=chunk:2")
    gateway.control.stop()
    wait_for(lambda: gateway.http().get("/readyz").status == 503, what="it is missed")
    assert gateway.post().status == 200 and gateway.post(key=revoked).status == 401
    running.close()
    gateway.wait_on_disk(2)
    gateway.kill()
    gateway.start(alone=True)
    assert gateway.post().status == 200 and gateway.post(key=revoked).status == 401
    assert gateway.http().get("/readyz").text == "control can't be reached"
    assert "serving with the state on disk" in gateway.log()
    gateway.control.start()
    wait_for(gateway.is_ready, what="it is followed again")
    assert gateway.post().status == 200 and gateway.post(key=revoked).status == 401
    assert len({record["request_id"] for record in gateway.wait_records(4)}) == 4


def test_a_restart_refuses_nobody(gateway):
    """What connects while it starts waits until the state on the disk is in force: a large one
    takes its time."""
    for number in range(3000):
        gateway.put("model", sync=False, name=f"model-{number}")
    gateway.start()
    wait_for((gateway.data_dir / "gateway/state.ndjson").exists, what="the state on the disk")
    ending, statuses = threading.Event(), collections.Counter()

    def ask():
        while not ending.is_set():
            try:
                statuses[gateway.post().status] += 1
            except (OSError, EOFError, http.client.HTTPException):
                statuses["gone"] += 1

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        gateway.kill()
        gateway.start()
        assert gateway.post().status == 200
    ending.set()
    for thread in threads:
        thread.join(30)
    assert set(statuses) == {200, "gone"}, statuses


@pytest.mark.parametrize("what", ["token", "address", "torn"])
def test_a_state_that_isnt_ours_is_not_used(gateway, what):
    gateway.start()
    gateway.stop_process()
    state = gateway.data_dir / "gateway/state.ndjson"
    gateway.control.stop()
    if what == "token":
        gateway.env["GPUSTACK_TOKEN"] = "another-token"
    elif what == "address":
        gateway.server_url = "http://127.0.0.1:1"
    else:
        state.write_bytes(state.read_bytes().replace(b'"kind":', b'"kind"!', 1))
    gateway.start(alone=True)
    reply = gateway.post()
    assert code_of(reply) == (503, "gateway_not_ready") and reply.headers["retry-after"] == "1"
    assert "the state that was kept can't be used" in gateway.log()


def test_a_second_gateway_on_the_same_folder(gpustack_binary, tmp_path, gateway):
    gateway.start()
    second = scripted.ScriptedGateway(gpustack_binary, tmp_path)
    try:
        with pytest.raises(RuntimeError, match=f"ended with {BAD_SYSTEM}") as error:
            second.start()
        assert f"another gateway (pid {gateway.pid}) already uses folder" in str(error.value)
        assert gateway.post().status == 200
        gateway.kill()
        second.start()  # a killed one leaves no lock behind
    finally:
        second.stop()


# --- changes while requests run ------------------------------------------------------------------


def test_changes_are_in_force_for_the_next_request(gateway):
    """What runs goes on to its end."""
    gateway.start()
    user = gateway.put("user", id=8)
    key = gateway.add_key(id=7, user_id=user)
    hers = gateway.add_key(user_id=user)
    other = gateway.add_engine("chunks=2 prompt=5", model="other")
    stream = RawClient(gateway.port)
    stream.ask("POST", CHAT, {"model": "m", "stream": True, "script": "chunks=6 delay_ms=50"},
               auth=key)
    assert stream.head()[0] == 200
    gateway.delete("key", 7)
    assert code_of(gateway.post(key=key)) == (401, "invalid_api_key")
    gateway.put("route", id=3, name="front", targets=[
        {"model_id": gateway.model_id("m"), "weight": 1}], fallback_model_id=0)
    assert gateway.post(model="front").json()["usage"]["prompt_tokens"] == 20
    gateway.change("route", 3, targets=[{"model_id": gateway.model_id("other"), "weight": 1}])
    assert gateway.post(model="front").json()["usage"]["prompt_tokens"] == 5
    gateway.delete("endpoint", other.endpoint_id)
    gateway.delete("model", gateway.model_id("other"))
    assert code_of(gateway.post(model="other")) == (404, "model_not_found")
    assert gateway.post(model="front").status in (404, 503)
    gateway.change("user", user, is_active=False)
    assert gateway.post(key=hers).status == 401
    gateway.change("user", user, is_active=True)
    assert gateway.post(key=hers).status == 200
    assert list(stream.events())[-1] == "[DONE]"


# --- full disks ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    fault = small_disk_fault(tmp_path / "probe")
    if fault:
        pytest.skip(fault)
    with SmallDisk(tmp_path / "disk", 24 * MIB) as disk:
        yield disk


def test_a_full_disk_for_usage_records(gateway, small_disk):
    """Requests go on, records wait in memory, and all come once when there is room again."""
    gateway.data_dir = small_disk.path / "data"
    gateway.start()
    for _ in range(3):
        assert gateway.post().status == 200
    gateway.wait_records(3)
    small_disk.fill()
    for _ in range(100):
        assert gateway.post().status == 200
    wait_for(lambda: metric(gateway, "journal_disk_errors_total") > 0, what="writes fail")
    assert metric(gateway, "journal_unsent_records") > 0
    log = gateway.log()
    assert log.count("records wait in memory") == 1 and "No space left on device" in log
    for _ in range(100):
        assert gateway.post().status == 200
    small_disk.free()
    gateway.wait_records(203)
    assert gateway.post().status == 200
    records = gateway.wait_records(204)
    assert len({record["request_id"] for record in records}) == len(records) == 204
    assert [record["seq"] for record in records] == sorted({record["seq"] for record in records})
    assert "records are written again" in gateway.log()
    assert metric(gateway, "journal_dropped_records_total") == 0


def test_a_full_disk_and_a_kill_doubles_nothing(gateway, small_disk):
    """Halves of lines may stand in files: they are no records."""
    gateway.data_dir = small_disk.path / "data"
    gateway.control.usage_status = 503
    gateway.start()
    for number in range(60):
        if number == 20:
            gateway.wait_on_disk(20)
            small_disk.fill(leave=5000)
        assert gateway.post().status == 200
    wait_for(lambda: metric(gateway, "journal_disk_errors_total") > 0, what="writes fail")
    gateway.kill()
    small_disk.free()
    gateway.control.usage_status = 200
    gateway.start()
    assert gateway.post().status == 200
    last = gateway.client().post(CHAT, {"model": "m"}, headers={"X-Request-Id": "the-last"})
    assert last.status == 200
    wait_for(lambda: any(record["request_id"] == "the-last"
                         for record in gateway.control.records), what="the last record")
    records = gateway.control.records
    assert len({record["request_id"] for record in records}) == len(records) >= 20
    assert len({record["seq"] for record in records}) == len(records)


def large_body(size):
    messages = [{"role": "user", "content": "x" * size}]
    return json.dumps({"model": "m", "messages": messages}).encode()


def check_no_room(gateway, size):
    reply = gateway.client().post(CHAT, large_body(size))
    assert code_of(reply) == (503, "no_room_for_body") and reply.headers["retry-after"] == "5"


def test_a_full_disk_for_large_bodies(gateway, small_disk):
    gateway.data_dir = small_disk.path / "data"
    gateway.start()
    small_disk.fill(leave=6 * MIB)
    check_no_room(gateway, 10 * MIB)
    assert gateway.post().status == 200
    assert "a large body can't be kept in" in gateway.log()
    assert "No space left on device" in gateway.log()
    small_disk.free()
    assert gateway.client().post(CHAT, large_body(10 * MIB)).status == 200
    entry = gateway.engine.log()[-1]
    assert entry["body_bytes"] == len(large_body(10 * MIB))
    room = os.statvfs(small_disk.path)
    assert room.f_bavail * room.f_frsize > 20 * MIB, "nothing of a body is left"
    outcomes = collections.Counter(record["outcome"] for record in gateway.wait_records(3))
    assert outcomes == {"engine_error": 1, "ok": 2}


def test_files_of_a_limited_size(gateway):
    """RLIMIT_FSIZE: an error like a full disk, not the end of the process."""
    gateway.prefix = ["prlimit", f"--fsize={5 * MIB}"]
    gateway.start()
    check_no_room(gateway, 8 * MIB)
    assert gateway.post().status == 200
    assert "File too large" in gateway.log()


# --- descriptors ---------------------------------------------------------------------------------


def test_no_descriptors_left(gateway):
    """Idle clients make room, what can't be served is told so by name, and it is no instance's
    fault: all is well again as soon as some are free."""
    gateway.prefix = ["prlimit", "--nofile=96:96"]
    gateway.start()
    idle = [RawClient(gateway.port) for _ in range(120)]
    assert gateway.post().status == 200, "idle ones make room"
    assert gateway.log().count("a new connection can't be accepted: Too many open files") == 1
    for client in idle:
        client.close()
    # More than half of the descriptors are clients', so some of them can have no engine.
    clients = [RawClient(gateway.port) for _ in range(60)]
    wait_for(lambda: len(os.listdir(f"/proc/{gateway.pid}/fd")) > 65, what="they are accepted")
    for client in clients:
        client.ask("POST", CHAT, {"model": "m", "stream": True, "script": "stall=chunk:1"},
                   auth=gateway.key)
    statuses = collections.Counter(map(status_of, clients))
    assert statuses[200] > 5 and statuses[503] > 5, statuses
    for client in clients:
        client.reset()
    wait_for(lambda: metric(gateway, "requests_in_flight") == 0, what="all have ended")
    assert metric(gateway, "breaker_state") == 0
    assert gateway.post().status == 200


def status_of(client):
    """Of the next answer, which is an error only for want of a descriptor; 0: the connection has
    made room for another one."""
    try:
        status, _ = client.head()
    except EOFError:
        return 0
    if status != 200:
        error = client.json()["error"]
        assert status == 503 and error["code"] == "engine_unreachable"
        assert error["message"].endswith("Too many open files")
    return status


# --- many clients --------------------------------------------------------------------------------


def ask_on(client, gateway, **body):
    client.ask("POST", CHAT, {"model": "m", **body}, auth=gateway.key)


def answer_on(client):
    status, _ = client.head()
    client.body()
    return status


def test_many_idle_connections(gateway):
    """Each was used once; all can be used again."""
    gateway.start()
    with RawClient(gateway.port) as first:
        ask_on(first, gateway)
        assert answer_on(first) == 200
    before = memory(gateway)
    idle = [RawClient(gateway.port) for _ in range(CONNECTIONS)]
    for client in idle:
        ask_on(client, gateway)
        assert answer_on(client) == 200
    wait_for(lambda: metric(gateway, "connections_open") == CONNECTIONS + 1, what="all are open")
    each = (memory(gateway) - before) / CONNECTIONS
    print(f"memory of an idle connection: {each:.0f} bytes")
    assert each < 8192
    for client in idle[::10]:
        ask_on(client, gateway)
        assert answer_on(client) == 200
    for client in idle:
        client.close()
    wait_for(lambda: metric(gateway, "connections_open") == 1, what="all are closed")
    assert metric(gateway, "connections_total") >= CONNECTIONS


def storm(port, count, data):
    """Opens `count` connections as fast as it can, sends `data` on each and reads to the end of
    the connection; returns the statuses."""
    def one(_):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
            sock.sendall(data)
            seen = b""
            while piece := sock.recv(65536):
                seen += piece
            return int(seen[9:12]) if seen.startswith(b"HTTP/1.1 ") else seen

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        return collections.Counter(pool.map(one, range(count)))


def test_a_storm_of_connections(gateway):
    gateway.threads = 2
    gateway.start()
    body = b'{"model":"m","messages":[]}'
    head = (f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n").encode()
    begin = time.monotonic()
    assert storm(gateway.port, STORM, head + body) == {200: STORM}
    print(f"{STORM} connections in {time.monotonic() - begin:.2f} s")
    assert metric(gateway, "requests_total", outcome="ok") == STORM
    assert len(gateway.wait_records(STORM)) == STORM


def test_many_connect_before_one_is_accepted(gateway):
    """A gateway that stands still for a moment: what came meanwhile is served."""
    gateway.start()
    os.kill(gateway.pid, signal.SIGSTOP)
    clients = [RawClient(gateway.port, timeout=30) for _ in range(400)]
    for client in clients:
        ask_on(client, gateway)
    os.kill(gateway.pid, signal.SIGCONT)
    assert all(answer_on(client) == 200 for client in clients)


def test_slow_readers_and_writers_disturb_nobody(gateway):
    """Readers stop in the middle of large streams, writers in the middle of their requests."""
    gateway.start()
    size, count = 4 * MIB, 20
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "y" * 3 * MIB}]})
    request = (f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n" + body)
    request = request.encode()
    readers = [begin_stream(gateway, f"chunks={size // 1024} bytes=1024", receive_buffer=4096,
                            timeout=30) for _ in range(count)]
    writers = [RawClient(gateway.port, timeout=30) for _ in range(count)]
    for writer in writers:
        writer.send(request[:len(request) // 2])
    took = []
    for _ in range(200):
        begin = time.monotonic()
        assert gateway.post().status == 200
        took.append(time.monotonic() - begin)
    print(f"others beside {count} slow readers and writers: {sorted(took)[100] * 1e3:.2f} ms in "
          f"the middle, {max(took) * 1e3:.2f} ms at most")
    assert memory(gateway) < 40 * MIB + count * (3 + 1) * MIB
    for writer in writers:
        writer.send(request[len(request) // 2:])
        assert answer_on(writer) == 200
    for reader in readers:
        events = list(reader.events())
        assert events[-1] == "[DONE]"
        text = sum(len(json.loads(event)["choices"][0]["delta"].get("content") or "")
                   for event in events[:-1] if json.loads(event)["choices"])
        assert text == size
    assert {record["outcome"] for record in gateway.wait_records(200 + 2 * count)} == {"ok"}


# --- the end -------------------------------------------------------------------------------------


def test_a_drain_lets_streams_finish_and_sends_the_last_records(gateway):
    gateway.start()
    streams = []
    for _ in range(5):
        client = RawClient(gateway.port)
        client.ask("POST", CHAT, {"model": "m", "stream": True,
                                  "script": "chunks=10 delay_ms=40"}, auth=gateway.key)
        assert client.head()[0] == 200
        streams.append(client)
    idle = RawClient(gateway.port)
    ask_on(idle, gateway)
    assert answer_on(idle) == 200
    gateway.process.terminate()
    assert idle.rest() == b"" and idle.ended == "fin"

    def is_closed():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", gateway.port)) != 0

    wait_for(is_closed, what="the port is closed")
    for client in streams:
        assert list(client.events())[-1] == "[DONE]"
    assert gateway.process.wait(20) == 0
    records = gateway.control.records
    assert collections.Counter(record["outcome"] for record in records) == {"ok": 6}
    assert sum(record["completion_tokens"] for record in records) == 5 * 10 + 8


def test_a_second_signal_ends_at_once(gateway):
    gateway.start()
    with begin_stream(gateway):
        gateway.process.terminate()
        wait_for(lambda: "stopping" in gateway.log(), what="it drains")
        gateway.process.terminate()
        assert gateway.process.wait(20) == 0


# --- what is told --------------------------------------------------------------------------------


def test_who_may_read_metrics(gateway):
    """This machine, unless somebody else asks through it; elsewhere administrators."""
    gateway.start()
    admin = gateway.put("user", id=9, is_admin=True)
    keys = {"admin": gateway.add_key(user_id=admin), "user": gateway.key,
            "wrong": "gpustack_0123456789abcdef_" + "0" * 32}
    assert gateway.http().get("/metrics").status == 200
    for header in ("X-Forwarded-For", "Forwarded"):
        headers = {header: "127.0.0.1"}
        assert gateway.http().get("/metrics", headers=headers).status == 401
        for name, key in keys.items():
            status = gateway.http(key).get("/metrics", headers=headers).status
            assert status == (200 if name == "admin" else 401), name


def mixed_requests(gateway):
    """A bit of everything; returns how many of them leave records."""
    limited = gateway.add_key(requests_per_minute=2)
    model = gateway.model_id("m")
    gateway.put("route", id=3, name="front", targets=[{"model_id": model, "weight": 1}])
    gateway.put("model", id=90, name="idle")
    for _ in range(4):
        gateway.post(key=limited, stream=True)
    for script in ("status=500", "status=400", "cut=body:10", "cut=chunk:2", "cut=head"):
        gateway.client().request("POST", CHAT, {"model": "m", "stream": script == "cut=chunk:2",
                                                "script": script}) \
            if script != "cut=body:10" else cut_body(gateway)
    gateway.post("/v1/embeddings", input="words", model="front")
    gateway.post("/v1/messages", messages=[], max_tokens=5, model="front")
    begin_stream(gateway).reset()
    assert gateway.post(model="idle").status == 503
    return 4 + 5 + 2 + 1 + 1


def cut_body(gateway):
    with RawClient(gateway.port) as client:
        ask_on(client, gateway, script="cut=body:10 framing=length")
        client.head()
        client.rest()


def test_metrics_and_access_log_say_what_the_records_say(gateway, tmp_path):
    """Also over a rotation of the log."""
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    gateway.args += ["--access-log", str(log), "--queue-timeout", "0"]
    gateway.threads = 2
    gateway.start()
    count = mixed_requests(gateway)
    wait_for(lambda: len(log.read_text().splitlines()) == count, what="the log's lines")
    log.rename(moved)
    gateway.process.send_signal(signal.SIGHUP)
    wait_for(log.exists, what="a fresh log")
    assert gateway.post().status == 200
    wait_for(lambda: len(log.read_text().splitlines()) == 1, what="its line")
    records = gateway.wait_records(count + 1)
    check_access_log(records, (moved.read_text() + log.read_text()).splitlines(), gateway.key)
    check_metrics(gateway, records)


def check_access_log(records, lines, key):
    assert not any(key[20:] in line for line in lines)
    by_id = {line["request_id"]: line for line in map(json.loads, lines)}
    assert len(by_id) == len(lines) == len(records)
    for record in records:
        line = by_id[record["request_id"]]
        assert line["method"] == "POST" and line["path"].startswith("/v1/")
        assert line["peer"] == "127.0.0.1"
        for member in set(record) - {"gateway", "seq"}:
            assert line[member] == record[member], member


def check_metrics(gateway, records):
    seen = metrics_of(gateway)
    names = ("model", "route", "operation", "outcome")

    def label(record):
        code = str(record["status"]) if record["status"] else "none"
        return frozenset({"code": code, **{name: record[name] for name in names}}.items())

    told = {of: value for (name, of), value in seen.items()
            if name == "gpustack_gateway_requests_total"}
    assert told == collections.Counter(map(label, records))
    for kind, member in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        tokens = sum(value for (name, of), value in seen.items()
                     if name == "gpustack_gateway_tokens_total" and ("kind", kind) in of)
        assert tokens == sum(record[member] for record in records)
    assert metric(gateway, "attempts_total") == sum(record["attempts"] for record in records)
    assert metric(gateway, "request_duration_seconds_count") == len(records)
    streams = [record for record in records if record["is_stream"] and record["completion_tokens"]]
    assert metric(gateway, "time_to_first_token_seconds_count") == len(streams) > 1
    assert metric(gateway, "aborted_total") == sum(record["outcome"] == "aborted"
                                                   for record in records)
    assert metric(gateway, "requests_in_flight") == 0
    text = gateway.http().get("/metrics").text
    families = re.findall(r"^# TYPE (\S+) ", text, re.M)
    assert len(families) == len(set(families)) and text.endswith("\n")


# --- on a cluster --------------------------------------------------------------------------------


def until_refused(client, statuses, body):
    """Asks without a pause until the status is one of these; returns when the answer was there."""
    while client.post(CHAT, body).status not in statuses:
        pass
    return time.monotonic()


def latencies(clients, change, statuses, body):
    """Seconds from the return of change() to the first refusal, at each client. All of them ask
    all the time."""
    started = [threading.Event() for _ in clients]

    def run(client, event):
        assert client.post(CHAT, body).status == 200
        event.set()
        return until_refused(client, statuses, body)

    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        ends = [pool.submit(run, client, event) for client, event in zip(clients, started)]
        for event in started:
            event.wait(20)
        change()
        begin = time.monotonic()
        return [end.result(20) - begin for end in ends]


def test_how_soon_changes_are_in_force_on_two_gateways(gpustack_binary, demo_model, tmp_path):
    """A revoked key, a user turned off, a deleted model: the next request is refused."""
    engines = scripted.install_engine(tmp_path / "engines", DEFAULT)
    cluster = harness.Cluster(gpustack_binary, engines, tmp_path)
    second = None
    try:
        cluster.start()
        cluster.deploy("hello", demo_model)
        second = scripted.SecondGateway(cluster, tmp_path)
        body = {"model": "hello", "messages": []}
        seen = []
        for number in range(10):
            value = cluster.make_key({"name": f"key-{number}"})
            row = next(item for item in cluster.items("/v2/api-keys")
                       if item["name"] == f"key-{number}")
            clients = [cluster.http(value), second.http(value)]
            wait_for(lambda: clients[1].get("/v1/models").status == 200, what="it knows the key")
            seen += latencies(clients, lambda: cluster.admin.delete(
                f"/v2/api-keys/{row['id']}").expect(200), (401,), body)
        print("key revoked: " + ", ".join(f"{took * 1e3:.1f}" for took in sorted(seen)) + " ms")
        value = cluster.make_key({"name": "last"})
        clients = [cluster.http(value), second.http(value)]
        wait_for(lambda: clients[1].get("/v1/models").status == 200, what="it knows the key")
        took = latencies(clients, lambda: cluster.admin.delete(
            f"/v2/models/{cluster.model('hello')['id']}").expect(200), (404, 503), body)
        print("model deleted: " + ", ".join(f"{one * 1e3:.1f}" for one in took) + " ms")
        for client in clients:
            assert code_of(client.post(CHAT, body)) == (404, "model_not_found")
    finally:
        if second:
            second.stop()
        cluster.stop()
