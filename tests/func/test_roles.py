# SPDX-License-Identifier: Apache-2.0
"""Each role fails alone: what is killed comes back, what runs goes on."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import SENTENCE
from harness import PASSWORD, Http, Node, Stream, is_alive, parent, read_proc, wait_for


@pytest.fixture(scope="module")
def site(serving, endless_model):
    """The shared server with both models; the tests kill roles of it, engines must not notice."""
    serving.deploy("endless", endless_model)
    return serving


@pytest.fixture(autouse=True)
def engines_stay(request):
    """Whatever was done to the roles of `site`: every engine is the same process afterwards."""
    if "site" not in request.fixturenames:
        yield
        return
    cluster = request.getfixturevalue("site")
    before = sorted(cluster.engine_pids())
    yield
    assert sorted(cluster.engine_pids()) == before


def objects(cluster):
    """What must survive: all that the API tells of models, users and keys, and the instances."""
    found = {path: cluster.items(path) for path in ("/v2/models", "/v2/users", "/v2/api-keys")}
    found["instances"] = [(item["id"], item["name"], item["state"], item["pid"], item["port"],
                           item["restart_count"]) for item in cluster.items("/v2/model-instances")]
    return found


def wait_same(cluster, before):
    def same():
        now = objects(cluster)
        if now != before:
            raise ValueError(f"{now} is not {before}")
        return True

    wait_for(same, 20, "all objects are as before")


def wait_connected(cluster):
    wait_for(lambda: cluster.http().get("/readyz").status == 200, what="the gateway has control")


# --- ps ------------------------------------------------------------------------------------------


def test_roles_are_recognisable_in_ps(site):
    supervisor = site.pid("start")
    for role in ("control", "gateway", "worker"):
        pid = site.pid(role)
        args = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True,
                              check=True).stdout
        assert args.startswith(f"gpustack {role} "), args
        assert parent(pid) == supervisor
    worker = site.pid("worker")
    assert parent(site.pid("prober")) == worker
    assert {parent(pid) for pid in site.engine_pids()} == {worker}


def test_no_secret_stands_in_an_argument_of_a_role(site):
    secrets = [PASSWORD, site.token()]
    for role in ("control", "gateway", "worker", "prober"):
        pid = site.pid(role)
        for name in ("cmdline", "environ"):
            text = "\0".join(read_proc(pid, name))
            assert not [secret for secret in secrets if secret in text], (role, name)
    text = "\0".join(read_proc(site.pid("start"), "cmdline"))
    assert not [secret for secret in secrets if secret in text], text


def test_engines_are_in_sessions_of_their_own(site):
    for pid in site.engine_pids():
        assert os.getsid(pid) == pid
        assert os.getpgid(pid) == pid


# --- kill -9 -------------------------------------------------------------------------------------


def test_kill_control_during_a_stream_loses_nothing(site):
    before = objects(site)
    with Stream(site.user(), "endless") as going, \
            Stream(site.user(), "endless", max_tokens=600) as finite:
        wait_for(lambda: going.count > 5 and finite.count > 5, what="both streams run")
        old = site.kill("control")
        assert site.chat("hello").strip() == SENTENCE, "new requests need no control"
        finite.join(60)
        assert finite.ended_normally(), (finite.error, finite.events)
        assert site.pid("control") != old
        wait_connected(site)
        seen = going.count
        wait_for(lambda: going.count > seen + 100, what="the other stream goes on")
    wait_same(site, before)
    assert site.chat("hello").strip() == SENTENCE
    assert re.search(rf"role: control: killed by signal 9 \(KILL\); starts again in \d+ ms",
                     site.log())


def test_kill_worker_leaves_the_engine_and_adopts_it(site):
    before = objects(site)
    with Stream(site.user(), "endless") as stream:
        wait_for(lambda: stream.count > 5, what="the stream runs")
        old = site.kill("worker")
        wait_for(lambda: site.pid("worker") != old)
        wait_same(site, before)
        seen = stream.count
        wait_for(lambda: stream.count > seen + 100, what="the stream goes on")
    assert site.chat("hello").strip() == SENTENCE


def test_kill_gateway_is_back_within_a_second(site):
    took = []
    for _ in range(3):  # on a busy machine one of the tries may be late
        site.kill("gateway")
        start = time.monotonic()
        wait_for(lambda: site.user().get("/v1/models").status == 200, 10, "the gateway is back")
        took.append(time.monotonic() - start)
        if took[-1] < 1:
            break
    assert min(took) < 1
    assert site.chat("hello").strip() == SENTENCE


def test_kill_of_everything_and_start_again_needs_no_input(site):
    before = objects(site)
    site.process.kill()
    site.process.wait()
    for role in ("control", "gateway", "worker"):
        wait_for(lambda: not site.pids(role), what=f"{role} died with the supervisor")
    site.start()
    wait_same(site, before)
    assert site.chat("hello").strip() == SENTENCE


def test_whole_stop_and_start_serves_again_without_input(site):
    before = objects(site)
    engines = site.engine_pids()
    assert site.stop_manager() == 0
    assert site.engine_pids() == engines
    assert not any(site.pids(role) for role in ("start", "control", "gateway", "worker"))
    site.start()
    wait_same(site, before)
    assert site.chat("hello").strip() == SENTENCE


# --- stopping ------------------------------------------------------------------------------------


def test_sigterm_drains_the_gateway_first(site):
    stopped = len(site.log())
    with Stream(site.user(), "endless", max_tokens=1500) as stream:
        wait_for(lambda: stream.count > 5, what="the stream runs")
        site.process.terminate()
        wait_for(lambda: site.port_is_closed(), what="new connections are refused")
        stream.join(60)
        assert stream.ended_normally(), (stream.error, stream.events)
        assert site.process.wait(30) == 0
    ends = re.findall(r"role: (gateway|worker|control): exit status 0", site.log()[stopped:])
    assert ends == ["gateway", "worker", "control"]
    site.start()
    site.wait_running("hello")


# --- starting ------------------------------------------------------------------------------------


def run_start(node, *args, env=None):
    """A start that is expected to end by itself; returns (status, output)."""
    done = subprocess.run([*node.command(), *args], stdin=subprocess.DEVNULL, timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout


def test_busy_port_is_reported_with_the_pid_that_holds_it(make_cluster):
    cluster = make_cluster()
    with socket.create_server(("127.0.0.1", cluster.port)):
        status, output = run_start(cluster)
    assert status == 78, output
    assert re.search(rf"port {cluster.port}\b.*\bpid {os.getpid()}\b", output), output


def test_busy_worker_port_is_reported_with_the_pid_that_holds_it(make_cluster):
    cluster = make_cluster()
    with socket.create_server(("0.0.0.0", cluster.worker_port)):
        status, output = run_start(cluster)
    assert status == 78, output
    assert re.search(rf"port {cluster.worker_port}\b.*\bpid {os.getpid()}\b", output), output


def test_second_start_on_a_data_dir_is_refused_with_the_first_ones_pid(site, make_cluster):
    other = make_cluster(name="other")
    status, output = run_start(other, "--data-dir", str(site.data_dir))
    assert status == 1, output
    assert str(site.pid("start")) in output
    assert site.chat("hello").strip() == SENTENCE


@pytest.mark.parametrize("args, words", [
    (["--prot", "8080"], ["prot", "--port"]),
    (["--port", "eighty"], ["port", "eighty", "from 1 to 65535"]),
    (["--port", "70000"], ["port", "70000", "from 1 to 65535"]),
    (["--log-level", "loud"], ["log-level", "loud", "error", "warning", "info", "debug"]),
    (["--service-port-range", "9-1"], ["service-port-range", "9-1"]),
    (["--host", "nowhere"], ["host", "nowhere"]),
    (["--port"], ["port"]),
    (["stray"], ["stray"]),
])
def test_bad_option_names_the_option_the_value_and_what_is_allowed(gpustack_binary, tmp_path, args,
                                                                   words):
    done = subprocess.run([gpustack_binary, "start", "--data-dir", tmp_path, *args], timeout=20,
                          capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr


def test_secrets_have_mode_0600(site):
    for name in ("token", "database.db"):
        mode = (site.data_dir / name).stat().st_mode & 0o777
        assert mode == 0o600, (name, oct(mode))


def test_configuration_comes_from_command_line_environment_file_and_default(gpustack_binary,
                                                                            tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("port: 1001\nworker_port: 1002\nlog_level: error\n")
    environment = {**os.environ, "GPUSTACK_WORKER_PORT": "2002", "GPUSTACK_LOG_LEVEL": "debug",
                   "GPUSTACK_BOOTSTRAP_PASSWORD": PASSWORD}
    text = subprocess.run([gpustack_binary, "config", "--config-file", file, "--data-dir", tmp_path,
                           "--log-level", "warning", "--token", "hide-this-token"], text=True,
                          capture_output=True, check=True, env=environment).stdout
    options = json.loads(text)
    assert {name: (options[name]["value"], options[name]["source"]) for name in (
        "log_level", "worker_port", "port", "service_port_range")} == {
            "log_level": ("warning", "command line"), "worker_port": (2002, "environment"),
            "port": (1001, "file"), "service_port_range": ("40000-40063", "default")}
    assert "hide-this-token" not in text and PASSWORD not in text


def test_first_start_without_a_password_leaves_one_in_a_file(make_cluster):
    cluster = make_cluster(args=["--disable-worker"])
    plain = Node.command(cluster) + ["--port", str(cluster.port), "--host", "127.0.0.1"]
    cluster.command = lambda: plain
    cluster.start()
    path = cluster.data_dir / "initial_admin_password"
    assert path.stat().st_mode & 0o777 == 0o600
    login = {"username": "admin", "password": path.read_text().strip()}
    reply = cluster.http().post("/auth/login", login).expect(200)
    assert reply["require_password_change"] is True
    assert login["password"] not in cluster.log()


def reload_with(cluster, config, level):
    """Writes the level to the file and sends SIGHUP; returns the length of the log before it."""
    seen = len(cluster.log())
    config.write_text(f"log_level: {level}\n")
    cluster.kill("start", signal.SIGHUP)
    return seen


def test_sighup_takes_the_log_level_from_the_config_file(make_cluster, demo_model, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("log_level: info\n")
    cluster = make_cluster(args=["--config-file", str(config), "--disable-worker"]).start()
    roles = [cluster.pid(role) for role in ("control", "gateway")]
    numbers = iter(range(1000))

    def tells_of_a_model():
        """Control tells of a new model at level info."""
        name = f"told-{next(numbers)}"
        cluster.deploy(name, demo_model, wait=False, replicas=0)
        return f"model: {name}: created" in cluster.log()

    assert tells_of_a_model()
    reload_with(cluster, config, "error")
    wait_for(lambda: not tells_of_a_model(), what="control is at level error")
    seen = reload_with(cluster, config, "loud")
    wait_for(lambda: "not reloaded" in cluster.log()[seen:], what="a faulty file is told")
    assert '"loud"' in cluster.log()[seen:]
    reload_with(cluster, config, "debug")
    wait_for(tells_of_a_model, what="control is at level debug")
    assert [cluster.pid(role) for role in ("control", "gateway")] == roles, "nobody was restarted"


# --- engines -------------------------------------------------------------------------------------


def test_killed_engine_is_restarted_with_back_off_and_the_reason_is_shown(make_cluster, demo_model):
    cluster = make_cluster().start()
    cluster.deploy("hello", demo_model)
    old = cluster.kill_engine("hello")

    def failed():
        item = cluster.instances("hello")[0]
        return item["state"] == "error" and "signal 9" in item["state_message"]

    wait_for(failed, what="the reason is shown")
    assert cluster.chat("hello").strip() == SENTENCE # it has waited for the next try
    again = cluster.instances("hello")[0]
    assert again["restart_count"] == 1
    assert again["pid"] != old
    assert cluster.chat("hello").strip() == SENTENCE


def test_engine_that_cannot_load_its_model_says_why(make_cluster, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    cluster = make_cluster().start()
    cluster.deploy("broken", broken, wait=False)

    def reason():
        item = cluster.instances("broken")[0]
        return item["state"] == "error" and item["state_message"]

    assert wait_for(reason, what="the instance fails")


@pytest.mark.parametrize("also", [[], ["control"]])
def test_engine_that_nobody_wants_is_stopped_after_the_worker_is_back(site, demo_model, also):
    site.deploy("orphan", demo_model)
    engine = site.instances("orphan")[0]["pid"]
    supervisor = site.pid("start")
    os.kill(supervisor, signal.SIGSTOP)  # so that the worker stays away
    try:
        site.kill("worker")
        site.admin.delete(f"/v2/models/{site.model('orphan')['id']}").expect(200)
        for role in also:
            site.kill(role)
        assert is_alive(engine)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: not is_alive(engine), 30, "the engine is stopped")
    wait_connected(site)


# --- PID 1 ---------------------------------------------------------------------------------------


def may_make_namespaces():
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True,
        check=False).returncode == 0


@pytest.mark.skipif(not may_make_namespaces(), reason="needs root and PID namespaces")
def test_start_works_as_pid_1_and_reaps_zombies(make_cluster, demo_model):
    cluster = make_cluster()
    plain = cluster.command()
    cluster.command = lambda: ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *plain]
    cluster.start()
    supervisor = cluster.pid("start")
    status = pathlib.Path(f"/proc/{supervisor}/status").read_text()
    assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.M), status
    cluster.deploy("hello", demo_model)
    (engine,) = cluster.engine_pids()
    prober = cluster.pid("prober")
    cluster.kill("worker")
    wait_for(lambda: not os.path.exists(f"/proc/{prober}"), what="the prober's zombie is reaped")
    wait_for(lambda: parent(engine) == supervisor, what="the engine came to PID 1")
    wait_for(lambda: cluster.pid("prober"), what="the next worker is there")
    os.kill(engine, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{engine}"), what="the engine's zombie is reaped")
    os.kill(supervisor, signal.SIGTERM)
    assert cluster.process.wait(30) == 0
