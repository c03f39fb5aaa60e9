# SPDX-License-Identifier: Apache-2.0
"""The store through the real program: refusals, and what was acknowledged outlives kill -9."""

import os
import random
import sqlite3
import subprocess
import threading

import pytest

from control_role import Control
from harness import is_alive

ROUNDS = int(os.environ.get("GPUSTACK_CRASH_ROUNDS", "30"))  # 1000 for the long run


@pytest.fixture
def control(gpustack_binary, tmp_path):
    role = Control(gpustack_binary, tmp_path)
    role.start()
    yield role
    role.kill()


class Writer(threading.Thread):
    """Makes models and deletes some, and remembers what was acknowledged, until control dies."""

    def __init__(self, admin, prefix):
        super().__init__(daemon=True)
        self.admin, self.prefix = admin, prefix
        self.there, self.gone, self.unsure = set(), set(), set()
        self.acknowledged = threading.Event()
        self.error = None

    def run(self):
        try:
            for number in range(1000000):
                self.write(f"{self.prefix}-{number}")
        except OSError:
            pass  # control was killed
        except Exception as error:  # told by the test
            self.error = error

    def write(self, name):
        body = {"name": name, "source": "local_path", "local_path": "/x.gguf", "replicas": 0}
        self.unsure.add(name)
        made = self.admin.post("/v2/models", body).expect(200)
        self.unsure.discard(name)
        self.there.add(name)
        self.acknowledged.set()
        if made["id"] % 3 == 0:
            self.there.discard(name)
            self.unsure.add(name)
            self.admin.delete(f"/v2/models/{made['id']}").expect(200)
            self.unsure.discard(name)
            self.gone.add(name)


def test_kill_control_during_writes_loses_nothing_acknowledged(control):
    there, gone, unsure = set(), set(), set()
    for round_number in range(ROUNDS):
        writers = [Writer(control.admin, f"r{round_number}-{i}") for i in range(3)]
        for writer in writers:
            writer.start()
        for writer in writers:
            assert writer.acknowledged.wait(20)
        # Anywhere in the next few writes: the moment is to be another one in every round.
        threading.Event().wait(random.uniform(0, 0.03))
        control.kill()
        for writer in writers:
            writer.join(20)
            assert writer.error is None
            there |= writer.there
            gone |= writer.gone
            unsure |= writer.unsure
        control.start()
        kept = {item["name"] for item in control.admin.get("/v2/models?page=-1").json()["items"]}
        assert there - kept == set(), f"lost in round {round_number}"
        assert gone & kept == set(), f"back from the dead in round {round_number}"
        assert kept - there <= unsure
    assert len(there) > ROUNDS * 2
    database = sqlite3.connect(control.folder / "database.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_users_and_keys_outlive_kill_of_control(control):
    user = {"username": "ada", "password": "Correct-Horse_1", "full_name": "Ada"}
    control.admin.post("/v2/users", user).expect(200)
    key = control.admin.post("/v2/api-keys", {"name": "kept"}).expect(200)
    before = [control.admin.get(path).expect(200) for path in ("/v2/users", "/v2/api-keys")]
    control.kill()
    control.start()
    assert [control.admin.get(path).expect(200) for path in ("/v2/users", "/v2/api-keys")] == before
    control.admin.headers["Authorization"] = "Bearer " + key["value"]
    assert control.admin.get("/v2/users/me").expect(200)["username"] == "admin"


def test_ids_are_not_given_twice(control):
    body = {"source": "local_path", "local_path": "/x.gguf", "replicas": 0}
    first = control.admin.post("/v2/models", {**body, "name": "one"}).expect(200)["id"]
    control.admin.delete(f"/v2/models/{first}").expect(200)
    control.kill()
    control.start()
    assert control.admin.post("/v2/models", {**body, "name": "two"}).expect(200)["id"] > first


def start_fails(cluster):
    """Exit status and output of a start that is refused."""
    done = subprocess.run(cluster.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=20, env=dict(os.environ))
    return done.returncode, done.stdout


def test_database_of_a_newer_version_is_refused_by_name(make_cluster):
    cluster = make_cluster(args=["--disable-worker"]).start()
    assert cluster.stop_manager() == 0
    path = cluster.data_dir / "database.db"
    database = sqlite3.connect(path)
    with database:
        database.execute("INSERT INTO schema_version VALUES (4711, '4711_future.sql', 0)")
    database.close()
    content = path.read_bytes()
    status, output = start_fails(cluster)
    assert status == 78, output
    assert str(path) in output and "4711" in output
    assert path.read_bytes() == content, "it was not touched"


def test_broken_database_is_refused_by_name(make_cluster):
    cluster = make_cluster(args=["--disable-worker"])
    path = cluster.data_dir / "database.db"
    path.write_bytes(b"this is no database" * 1000)
    status, output = start_fails(cluster)
    assert status == 78, output
    assert str(path) in output


def test_second_control_on_a_database_is_refused(control, gpustack_binary):
    done = subprocess.run([gpustack_binary, "control", "--data-dir", control.folder],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert done.returncode == 78
    assert str(control.process.pid) in done.stderr + done.stdout
    assert is_alive(control.process.pid)
    assert control.is_ready()
