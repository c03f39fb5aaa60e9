# SPDX-License-Identifier: Apache-2.0
"""The client commands of the binary, as people and scripts use them."""

import json
import os
import pathlib
import pty
import select
import signal
import subprocess

import pytest

from conftest import SENTENCE
from harness import PASSWORD, basic_auth, free_ports, wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]
DEVICES = TOP / "tests/data/devices/ascend-910b4-8.json"
OK, FAILED, USAGE, UNREACHABLE, DENIED, NOT_FOUND = range(6)
STRONG = "Str0ng_Enough"


class Shell:
    """Runs commands with a home directory of its own."""

    def __init__(self, binary, home, **variables):
        self.binary, self.home = str(binary), home
        self.env = {key: value for key, value in os.environ.items()
                    if not key.startswith(("GPUSTACK_", "XDG_"))}
        self.env.update(HOME=str(home), **variables)

    def run(self, *args, status=OK, stdin="", timeout=40):
        """Output of a command that is expected to end with `status`; the whole result otherwise."""
        done = subprocess.run([self.binary, *map(str, args)], input=stdin, env=self.env, text=True,
                              capture_output=True, timeout=timeout)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        last = done.stderr.splitlines()[-1:]
        assert status == OK or last[0].startswith(f"gpustack {args[0]}: "), done.stderr
        return done.stdout if status == OK else done.stderr

    def json(self, *args, **options):
        return json.loads(self.run(args[0], "--json", *args[1:], **options))

    def table(self, *args):
        """Rows of a table as dicts by column."""
        head, *rows = self.run(*args).splitlines()
        columns = [name.strip() for name in head.split("  ") if name.strip()]
        starts = [head.index(name) for name in columns]
        ends = [*starts[1:], None]
        return [{name: row[start:end].strip() for name, start, end in zip(columns, starts, ends)}
                for row in rows]


@pytest.fixture(scope="module")
def shell(serving, gpustack_binary, tmp_path_factory):
    """Signed in by the two variables that scripts use."""
    return Shell(gpustack_binary, tmp_path_factory.mktemp("home"),
                 GPUSTACK_SERVER_URL=serving.url, GPUSTACK_API_KEY=serving.api_key())


@pytest.fixture
def stranger(gpustack_binary, tmp_path):
    """Not signed in anywhere."""
    return Shell(gpustack_binary, tmp_path)


# --- login ---------------------------------------------------------------------------------------


def stored_login(shell):
    path = pathlib.Path(shell.home) / ".config/gpustack/credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    return json.loads(path.read_text())


def test_login_reads_the_password_and_stores_a_key(serving, stranger):
    assert "Signed in to" in stranger.run("login", serving.url, stdin=PASSWORD + "\n")
    stored = stored_login(stranger)
    assert stored["server_url"] == serving.url and stored["api_key"].startswith("gpustack_")
    assert stranger.json("ps")[0]["model_name"] == "hello"
    stranger.run("login", serving.url, stdin=PASSWORD + "\n")
    named = [item["name"] for item in serving.items("/v2/api-keys")]
    assert len(named) == len(set(named)), "the key of the earlier login was replaced"


def test_login_with_a_wrong_password_is_denied(serving, stranger):
    error = stranger.run("login", serving.url, stdin="Wr0ng_Password\n", status=DENIED)
    assert "password is wrong" in error
    assert not (pathlib.Path(stranger.home) / ".config").exists()


def test_login_changes_the_initial_password(serving, stranger):
    user = {"username": "fresh", "password": STRONG, "require_password_change": True,
            "is_admin": True}
    made = serving.admin.post("/v2/users", user).expect(200)
    try:
        weak = f"{STRONG}\nweak\n"
        assert "password must" in stranger.run("login", serving.url, "-u", "fresh", stdin=weak,
                                               status=FAILED)
        stranger.run("login", serving.url, "-u", "fresh", stdin=f"{STRONG}\nEven_Str0nger\n")
        assert stranger.json("users")[0]["username"] == "fresh"
        stranger.run("login", serving.url, "--username=fresh", stdin="Even_Str0nger\n")
    finally:
        serving.admin.delete(f"/v2/users/{made['id']}").expect(200)


def test_login_local_needs_no_password(serving, stranger):
    stranger.run("login", "--local", "--data-dir", serving.data_dir)
    assert stored_login(stranger)["server_url"] == serving.url
    assert stranger.json("users")[0]["username"] == "admin"


def test_login_local_takes_a_relative_data_dir(serving, stranger):
    relative = os.path.relpath(serving.data_dir)
    assert not relative.startswith("/")
    stranger.run("login", "--local", "--data-dir", relative)
    assert stored_login(stranger)["server_url"] == serving.url


def test_login_local_where_no_server_has_run(stranger, tmp_path):
    assert str(tmp_path) in stranger.run("login", "--local", "--data-dir", tmp_path,
                                         status=NOT_FOUND)


# --- exit statuses -------------------------------------------------------------------------------


def test_exit_status_tells_the_kind_of_failure(serving, shell, stranger, gpustack_binary,
                                               tmp_path_factory):
    away = f"http://127.0.0.1:{free_ports()}"
    assert away in stranger.run("ps", "--server-url", away, status=UNREACHABLE)
    assert "gpustack login" in stranger.run("ps", "--server-url", serving.url, status=DENIED)
    impostor = Shell(gpustack_binary, tmp_path_factory.mktemp("home"),
                     GPUSTACK_SERVER_URL=serving.url, GPUSTACK_API_KEY="gpustack_no")
    impostor.run("ps", status=DENIED)
    assert '"nobody"' in shell.run("rm", "nobody", status=NOT_FOUND)
    assert "nobody" in shell.run("chat", "nobody", "Hi", status=NOT_FOUND)
    shell.run("logs", "nobody", status=NOT_FOUND)
    shell.run("deploy", "/x.gguf", "--name", "two words", status=FAILED)


@pytest.mark.parametrize("args, words", [
    (["ps", "--jsn"], ["--jsn", "gpustack ps --help"]),
    (["ps", "stray"], ["stray"]),
    (["deploy"], ["SOURCE"]),
    (["deploy", "/x.gguf", "--replicas", "many"], ["--replicas", "many", "0-1000"]),
    (["deploy", "/x.gguf", "--replicas"], ["--replicas", "N"]),
    (["deploy", "/x.gguf", "--wait=yes"], ["--wait", "yes"]),
    (["deploy", "/x.gguf", "--timeout", "0"], ["--timeout", "0", "1-86400"]),
    (["deploy", "/x.gguf", "--env", "NOVALUE"], ["--env", "NOVALUE", "KEY=VALUE"]),
    (["deploy", "not-here.gguf"], ["not-here.gguf"]),
    (["deploy", "hf.co/some/model"], ["hf.co/some/model"]),
    (["logs", "x", "--tail", "-1"], ["--tail", "-1"]),
    (["keys", "steal", "x"], ["list", "create", "rm"]),
    (["keys", "create", "x", "--expires-in", "soon"], ["--expires-in", "soon"]),
    (["users", "create"], ["create NAME"]),
    (["chat"], ["MODEL"]),
    (["ps", "--server-url", "ftp://x"], ["ftp://x"]),
])
def test_bad_option_names_the_option_the_value_and_what_is_allowed(shell, args, words):
    error = shell.run(*args, status=USAGE)
    assert [word for word in words if word not in error] == [], error


def test_unknown_command_is_named(shell):
    done = subprocess.run([shell.binary, "serve"], capture_output=True, text=True, timeout=10)
    assert done.returncode == USAGE and '"serve"' in done.stderr


@pytest.mark.parametrize("command", [
    "login", "deploy", "models", "ps", "logs", "chat", "rm", "workers", "devices", "keys", "users",
    "reset-admin-password", "start"])
def test_every_command_has_help(stranger, command):
    text = stranger.run(command, "--help")
    assert text.startswith(f"Usage: gpustack {command}") and "\nOptions:\n" in text.replace(
        "Common options", "Options")
    assert max(map(len, text.splitlines())) <= 100


def test_version(stranger, serving):
    version = serving.http().get("/version").json()["version"]
    assert stranger.run("version") == f"gpustack {version}\n"
    assert stranger.run("--version") == f"gpustack {version}\n"
    assert stranger.run("version", "--short") == version + "\n"
    assert stranger.json("version")["version"] == version


# --- models --------------------------------------------------------------------------------------


def test_deploy_ps_and_rm(serving, shell, demo_model):
    text = shell.run("deploy", demo_model, "--name", "cli", "--replicas", "2", "--wait",
                     "--backend", "llama.cpp", "--backend-parameters=--ctx-size=256",
                     "--env", "COLOUR=blue", "--category", "llm")
    assert text == "cli is deployed.\n"
    model = serving.model("cli")
    assert model["backend_parameters"] == ["--ctx-size=256"] and model["env"] == {"COLOUR": "blue"}
    rows = [row for row in shell.table("ps") if row["MODEL"] == "cli"]
    assert [(row["STATE"], row["RESTARTS"]) for row in rows] == [("running", "0")] * 2
    assert {item["name"] for item in shell.json("ps") if item["model_name"] == "cli"} == {
        row["INSTANCE"] for row in rows}
    again = shell.run("deploy", demo_model, "--name", "cli")
    assert again == "cli is deployed already.\n"
    assert "cli" in shell.run("deploy", "/other.gguf", "--name", "cli", status=FAILED)
    assert shell.run("rm", "cli") == "cli is removed.\n"
    shell.run("rm", "cli", status=NOT_FOUND)
    wait_for(lambda: "cli" not in shell.run("ps"), what="its instances are gone")


def test_deploy_takes_engine_arguments_behind_two_dashes(serving, shell, demo_model):
    made = shell.json("deploy", demo_model, "--name", "dashes", "--replicas=0", "--",
                      "--ctx-size", "128")
    assert made["backend_parameters"] == ["--ctx-size", "128"]
    row = [row for row in shell.table("ps") if row["MODEL"] == "dashes"][0]
    assert row["STATE"] == "stopped" and row["INSTANCE"] == "-"
    assert shell.run("rm", "dashes", "--json").strip() == "null"


def test_deploy_names_the_model_after_its_file(serving, shell, demo_model):
    assert "hello is deployed already" in shell.run("deploy", demo_model)


def test_deploy_wait_tells_why_it_fails(shell, tmp_path):
    error = shell.run("deploy", tmp_path / "missing.gguf", "--no-restart", "--wait", status=FAILED)
    assert "missing.gguf: not on the one worker that was asked" in error.splitlines()[-1], error
    shell.run("rm", "missing")


# --- logs ----------------------------------------------------------------------------------------


def test_logs(serving, shell):
    name = serving.instances("hello")[0]["name"]
    whole = shell.run("logs", name)
    assert len(whole.splitlines()) > 5
    assert shell.run("logs", "hello", "-n", "2").splitlines() == shell.run(
        "logs", name, "--tail=2", "--run", "0").splitlines()
    assert json.loads(shell.run("logs", name, "--runs"))["runs"] == [0]
    shell.run("logs", name, "--run", "7", status=NOT_FOUND)


def test_logs_follow(serving, shell):
    # A suite that a shell started in the background ignores SIGINT, and so would its children.
    follower = subprocess.Popen([shell.binary, "logs", "-f", "--tail", "0", "hello"], env=shell.env,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        def something():
            serving.chat("hello")
            return select.select([follower.stdout], [], [], 0.3)[0]

        wait_for(something, what="the log of a request is printed")
        assert os.read(follower.stdout.fileno(), 4096)
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) in (-signal.SIGINT, 130)
    finally:
        follower.kill()
        follower.communicate()


# --- chat ----------------------------------------------------------------------------------------


def test_chat_answers_a_prompt(shell):
    assert shell.run("chat", "hello", "Who are you?").strip() == SENTENCE
    message = shell.json("chat", "hello", "Who are you?")
    assert message["role"] == "assistant" and message["content"].strip() == SENTENCE


def test_chat_without_a_prompt_is_a_conversation(shell):
    text = shell.run("chat", "hello", stdin="Who are you?\n\\clear\nAnd you?\n\\q\nnot asked\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines == [SENTENCE, "The conversation starts anew.", SENTENCE]


def test_chat_on_a_terminal_has_a_prompt(shell):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(shell.binary, ["gpustack", "chat", "hello"], shell.env)
    shown = ""

    def until(text):
        nonlocal shown
        while text not in shown:
            assert select.select([terminal], [], [], 20)[0], shown
            shown += os.read(terminal, 4096).decode()

    try:
        until("> ")
        os.write(terminal, b"Who are you?\n")
        until(SENTENCE)
        shown = shown[shown.index(SENTENCE):]
        until("> ")
        os.write(terminal, b"\x04")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == OK
        pid = 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)


def test_chat_without_an_instance_fails_with_the_reason(serving, shell, demo_model):
    serving.deploy("away", demo_model, replicas=0)
    try:
        wait_for(lambda: serving.user().get("/v1/models/away").status == 200)
        assert "away" in shell.run("chat", "away", "Hi", status=FAILED)
    finally:
        serving.delete_model("away")


# --- machines ------------------------------------------------------------------------------------


def test_models(serving, shell):
    body = {"name": "kept", "source": "local_path", "local_path": "/none.gguf", "replicas": 0}
    serving.admin.post("/v2/models", body).expect(200)
    row = [row for row in shell.table("models") if row["NAME"] == "kept"][0]
    assert row["READY"] == "0/0" and row["VERSION"] == "1" and row["SOURCE"] == "local_path"
    changed = shell.json("models", "edit", "kept", "description=my model", "max_restarts=3",
                         'env={"A": "1"}', "backend_version=1.20")
    assert changed["description"] == "my model" and changed["max_restarts"] == 3
    assert changed["env"] == {"A": "1"} and changed["backend_version"] == "1.20"
    assert changed["version"] == 2
    assert shell.json("models", "edit", "kept", "description=null")["description"] is None
    shown = shell.run("models", "show", "kept").splitlines()
    assert "name: kept" in shown and "max_restarts: 3" in shown and "version: 3" in shown
    assert "is started" in shell.run("models", "start", "kept")
    assert shell.json("models", "stop", "kept")["stopped_replicas"] == 1
    copy = shell.json("models", "clone", "kept", "copied", "description=a copy")
    assert copy["name"] == "copied" and copy["description"] == "a copy" and copy["replicas"] == 0
    assert copy["env"] == {"A": "1"} and copy["version"] == 1
    shell.run("rm", "kept", "copied")


def test_models_tell_what_is_wrong(shell):
    assert "KEY=VALUE" in shell.run("models", "edit", "hello", "replicas", status=USAGE)
    assert "max_restarts" in shell.run("models", "edit", "hello", "colour=red", status=USAGE)
    assert "0-1000" in shell.run("models", "edit", "hello", "replicas=many", status=FAILED)
    assert "can't be changed" in shell.run("models", "edit", "hello", "id=7", status=FAILED)
    shell.run("models", "edit", "nothing", "replicas=1", status=NOT_FOUND)
    assert "already" in shell.run("models", "clone", "hello", "hello", status=FAILED)
    shell.run("models", "edit", "hello", status=USAGE)
    shell.run("models", "dance", status=USAGE)


def test_workers(serving, shell):
    (row,) = shell.table("workers")
    (worker,) = shell.json("workers")
    assert row["NAME"] == worker["name"] and row["STATE"] == "ready"
    assert row["DEVICES"] == "0"


def test_workers_are_labelled(serving, shell):
    name = shell.json("workers")[0]["name"]
    shell.run("workers", "label", name, "rack=7", "room=a=b")
    labels = shell.json("workers")[0]["labels"]
    assert labels["rack"] == "7" and labels["room"] == "a=b"
    assert "rack" not in shell.json("workers", "label", name, "rack-")["labels"]
    assert "KEY=VALUE" in shell.run("workers", "label", name, "rack", status=USAGE)
    shell.run("workers", "label", name, status=USAGE)
    shell.run("workers", "label", "nobody", "a=b", status=NOT_FOUND)


def test_workers_go_into_maintenance_and_come_back(make_cluster, stranger):
    cluster = make_cluster().start()
    stranger.env.update(GPUSTACK_SERVER_URL=cluster.url, GPUSTACK_API_KEY=cluster.api_key())
    wait_for(lambda: [row["state"] for row in stranger.json("workers")] == ["ready"],
             what="the worker is ready")
    name = stranger.json("workers")[0]["name"]
    assert "no new instances" in stranger.run("workers", "maintain", name, "--message", "new fan")
    worker = stranger.json("workers")[0]
    assert worker["state"] == "maintenance"
    assert worker["maintenance"] == {"enabled": True, "drain": False, "message": "new fan"}
    assert "move away" in stranger.run("workers", "drain", name)
    assert stranger.json("workers")[0]["maintenance"]["drain"] is True
    assert "again" in stranger.run("workers", "resume", name)
    assert stranger.json("workers")[0]["maintenance"] is None
    wait_for(lambda: stranger.json("workers")[0]["state"] == "ready", what="it is ready again")
    before = stranger.json("workers")[0]["id"]
    stranger.run("workers", "rm", name)
    wait_for(lambda: [row["id"] for row in stranger.json("workers")] not in ([], [before]),
             what="it has joined again")


def test_devices_without_any(shell):
    assert shell.table("devices") == []
    assert shell.json("devices") == []


def test_devices_of_a_cluster_of_eight_910b4(make_cluster, stranger):
    cluster = make_cluster(args=["--fake-devices", str(DEVICES)]).start()
    stranger.env.update(GPUSTACK_SERVER_URL=cluster.url, GPUSTACK_API_KEY=cluster.api_key())
    wait_for(lambda: cluster.items("/v2/gpu-devices"), what="devices are reported")
    rows = stranger.table("devices")
    assert [row["NAME"] for row in rows] == ["910B4"] * 8
    assert rows[0]["VENDOR"] == "Huawei" and rows[0]["TOTAL"] == "32.0 GiB"
    assert len(stranger.json("devices")) == 8
    assert stranger.table("workers")[0]["DEVICES"] == "8"


# --- keys and users ------------------------------------------------------------------------------


def test_keys(serving, shell):
    value = shell.run("keys", "create", "cli key", "--scope", "inference", "--model", "hello",
                      "--expires-in", "3600").strip()
    assert value.startswith("gpustack_")
    row = [row for row in shell.table("keys") if row["NAME"] == "cli key"][0]
    assert row["ACCESS KEY"] in value and row["EXPIRES"] != "never"
    listed = [key for key in shell.json("keys") if key["name"] == "cli key"][0]
    assert listed["scope"] == ["inference"] and listed["allowed_model_names"] == ["hello"]
    assert value not in shell.run("keys", "--json")
    wait_for(lambda: serving.http(value).get("/v1/models").status == 200)
    shell.run("keys", "create", "cli key", status=FAILED)
    shell.run("keys", "rm", "cli key")
    shell.run("keys", "rm", "cli key", status=NOT_FOUND)


def test_keys_are_changed_and_chosen(serving, shell):
    shell.run("keys", "create", "chosen", "--custom", stdin="my-own-value-of-a-key\n")
    user = serving.http("my-own-value-of-a-key")
    user.get("/v2/users/me").expect(200)
    shell.run("keys", "update", "chosen", "--disable", "--description", "d")
    assert user.get("/v2/users/me").status == 401
    row = [row for row in shell.table("keys") if row["NAME"] == "chosen"][0]
    assert row["ENABLED"] == "no" and row["LAST USE"] != "-"
    changed = shell.json("keys", "update", "chosen", "--enable", "--rename", "renamed")
    assert changed["name"] == "renamed" and changed["description"] == "d" and changed["enabled"]
    user.get("/v2/users/me").expect(200)
    shell.run("keys", "update", "renamed", "--enable", "--disable", status=USAGE)
    shell.run("keys", "update", "chosen", status=NOT_FOUND)
    assert "16-256" in shell.run("keys", "create", "c", "--custom", stdin="short\n", status=FAILED)
    shell.run("keys", "rm", "renamed")


LIMITS = ("--requests-per-minute", "60", "--tokens-per-minute", "9000",
          "--concurrent-requests", "4", "--token-budget", "5000000000", "--budget-period", "month")
LIMITED = {"requests_per_minute": 60, "tokens_per_minute": 9000, "concurrent_requests": 4,
           "token_budget": 5000000000, "budget_period": "month"}


def test_limits_of_keys_users_and_models(serving, shell):
    made = shell.json("keys", "create", "limited", *LIMITS)
    assert LIMITED.items() <= made.items()
    free = shell.json("keys", "update", "limited", "--requests-per-minute", "0")
    assert free["requests_per_minute"] is None and free["tokens_per_minute"] == 9000
    shell.run("keys", "rm", "limited")
    made = shell.json("users", "create", "limited", *LIMITS, stdin=STRONG + "\n")
    assert LIMITED.items() <= made.items()
    assert shell.json("users", "update", "limited", "--token-budget", "7")["token_budget"] == 7
    shell.run("users", "update", "limited", status=USAGE)
    shell.run("users", "rm", "limited")
    changed = shell.json("models", "edit", "hello", *LIMITS, "--first-byte-timeout", "90")
    assert LIMITED.items() <= changed.items() and changed["first_byte_timeout"] == 90
    by_key = ["requests_per_minute=70", "tokens_per_minute=0", "concurrent_requests=null",
              "token_budget=0", "budget_period=never", "first_byte_timeout=0"]
    assert shell.json("models", "edit", "hello", *by_key)["requests_per_minute"] == 70
    back = shell.json("models", "edit", "hello", "--requests-per-minute", "0")
    assert all(back[name] is None for name in LIMITED if name != "budget_period")
    for args in (("keys", "create", "k", "--token-budget", "-1"),
                 ("models", "edit", "hello", "--first-byte-timeout", "soon"),
                 ("users", "update", "admin", "--budget-period", "year"),
                 ("models", "edit", "hello")):
        shell.run(*args, status=USAGE)


def test_routes(serving, shell, demo_model):
    serving.deploy("spare", demo_model, replicas=0, wait=False)
    assert shell.run("routes", "create", "gpt-4", "--target", "hello=90", "--target", "spare=10",
                     "--fallback", "hello", "--category", "llm") == "gpt-4 is there.\n"
    (row,) = shell.table("routes")
    assert (row["NAME"], row["TARGETS"], row["FALLBACK"]) == (
        "gpt-4", "hello=90, spare=10", "hello")
    assert "gpt-4" in shell.run("rm", "spare", status=FAILED)
    changed = shell.json("routes", "edit", "gpt-4", "--target", "spare", "--no-fallback",
                         "--rename", "gpt-5", "--description", "d")
    assert changed["name"] == "gpt-5" and changed["fallback_model_id"] is None
    assert [target["weight"] for target in changed["targets"]] == [100]
    assert shell.json("routes", "show", "gpt-5") == changed
    assert shell.json("routes") == [changed]
    shell.run("routes", "rm", "gpt-4", status=NOT_FOUND)
    shell.run("routes", "create", "gpt-5", "--target", "hello", status=FAILED)
    shell.run("routes", "create", "x", "--target", "nobody", status=NOT_FOUND)
    for args in (("create", "x"), ("create", "x", "--target", "hello=101"), ("edit",),
                 ("edit", "gpt-5", "--fallback", "hello", "--no-fallback")):
        shell.run("routes", *args, status=USAGE)
    assert shell.run("rm", "spare", "--cascade") == "spare is removed.\n"
    assert shell.json("routes") == [], "it had no other target"
    shell.run("routes", "create", "gpt-6", "--target", "hello")
    assert shell.run("routes", "rm", "gpt-6") == "gpt-6 is removed.\n"


def test_users(serving, shell):
    shell.run("users", "create", "carol", stdin=STRONG + "\n")
    assert "password must" in shell.run("users", "create", "dave", stdin="weak\n", status=FAILED)
    shell.run("users", "create", "erin", stdin="", status=FAILED)
    made = shell.json("users", "create", "boss", "--admin", stdin=STRONG + "\n")
    assert made["is_admin"] is True
    rows = {row["NAME"]: row for row in shell.table("users")}
    assert rows["carol"]["ROLE"] == "user" and rows["boss"]["ROLE"] == "admin"
    assert {user["username"] for user in shell.json("users")} == set(rows)
    for name in ("carol", "boss"):
        shell.run("users", "rm", name)
    shell.run("users", "rm", "carol", status=NOT_FOUND)
    assert "last" in shell.run("users", "rm", "admin", status=FAILED)


def test_command_for_administrators_is_denied_to_others(serving, stranger):
    made = serving.admin.post("/v2/users", {"username": "plain", "password": STRONG}).expect(200)
    try:
        stranger.run("login", serving.url, "-u", "plain", stdin=STRONG + "\n")
        assert "plain" in stranger.run("ps", status=DENIED)
        assert len(stranger.json("keys")) == 1
    finally:
        serving.admin.delete(f"/v2/users/{made['id']}").expect(200)


def test_reset_admin_password(make_cluster, stranger):
    cluster = make_cluster(args=["--disable-worker"]).start()
    password = stranger.run("reset-admin-password", "--data-dir", cluster.data_dir).strip()
    old = cluster.http(basic_auth("admin", PASSWORD))
    assert old.get("/v2/users/me").status == 401, "the old one is void"
    stranger.run("login", cluster.url, stdin=f"{password}\n{STRONG}\n")
    assert stranger.json("users")[0]["require_password_change"] is False
    assert password not in cluster.log() and STRONG not in cluster.log()
    cluster.stop_manager()
    stranger.run("reset-admin-password", "--data-dir", cluster.data_dir, status=UNREACHABLE)


def test_engines_are_listed_and_stopped_while_no_worker_runs(make_cluster, demo_model, stranger):
    cluster = make_cluster().start()
    cluster.deploy("hello", demo_model)
    (engine,) = cluster.engine_pids()
    stranger.run("engines", "stop", "--data-dir", cluster.data_dir, status=FAILED)
    cluster.stop_manager()
    assert str(engine) in stranger.run("engines", "list", "--data-dir", cluster.data_dir)
    assert str(engine) in stranger.run("engines", "stop", "--data-dir", cluster.data_dir)
    assert cluster.engine_pids() == []
    cluster.start()
    cluster.wait_running("hello")
