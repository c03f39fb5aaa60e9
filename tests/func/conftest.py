# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the functional tests: the release binary, a real engine, generated models, clusters.

    .venv/bin/pytest tests/func            # after ./run --build-only; ./check does both
"""

import os
import pathlib
import subprocess

import pytest

import harness
import scripted

TOP = pathlib.Path(__file__).resolve().parents[2]
SENTENCE = ("I am the gpustack demo model: one layer, no knowledge, "
            "but a real engine answers you.")


@pytest.fixture(scope="session")
def gpustack_binary():
    """The program under test; GPUSTACK_BINARY names another one."""
    path = pathlib.Path(os.environ.get("GPUSTACK_BINARY", TOP / "build/gpustack"))
    if not path.exists():
        pytest.exit(f"{path} is missing: run ./run --build-only first", 2)
    return path


@pytest.fixture(scope="session")
def engine_dir():
    """Folder with an installed llama.cpp, for --bin-dir."""
    path = TOP / "build/engines"
    subprocess.run([TOP / "tools/fetch-llama", path], check=True)
    return path


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Function (name, sentence, *options) -> path of a generated model file."""
    release = pathlib.Path(os.environ.get("GPUSTACK_BUILD_DIR", TOP / "build/release"))
    subprocess.run(["ninja", "-C", release, "tests/lib/make_model"], check=True,
                   stdout=subprocess.DEVNULL)
    folder = tmp_path_factory.mktemp("models")

    def make(name, sentence, *options):
        path = folder / f"{name}.gguf"
        subprocess.run([release / "tests/lib/make_model", path, sentence, *options], check=True)
        return path

    return make


@pytest.fixture(scope="session")
def demo_model(make_model):
    """Answers everything with SENTENCE."""
    return make_model("hello", SENTENCE)


@pytest.fixture(scope="session")
def endless_model(make_model):
    """Never stops by itself: for long streams (give max_tokens or cut it off)."""
    return make_model("endless", "round and back again to the start", "--endless")


@pytest.fixture
def make_cluster(gpustack_binary, engine_dir, tmp_path):
    """Function (args=(), env=None, name="server") -> a Cluster that is not started yet."""
    made = []

    def make(**options):
        made.append(harness.Cluster(gpustack_binary, engine_dir, tmp_path, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture
def cluster(make_cluster):
    """A fresh server with one worker, ready."""
    return make_cluster().start()


@pytest.fixture
def scripted_gateway(gpustack_binary, tmp_path):
    """A gateway between a control and engines that do as the test says; not started yet."""
    gateway = scripted.ScriptedGateway(gpustack_binary, tmp_path)
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def serving(gpustack_binary, engine_dir, demo_model, tmp_path_factory):
    """A server that runs the demo model as "hello", shared by a file's tests; leave it as it is."""
    shared = harness.Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("serving"))
    try:
        shared.start()
        shared.deploy("hello", demo_model)
        yield shared
    finally:
        shared.stop()


@pytest.fixture(scope="module")
def api(serving):
    """The administrator by API key: no password has to be hashed for a request."""
    return serving.user()


@pytest.fixture
def make_user(api):
    """Function (name, **fields) -> the user; all are removed afterwards."""
    made = []

    def make(name, **fields):
        body = {"username": name, "password": harness.STRONG, **fields}
        made.append(api.post("/v2/users", body).expect(200))
        return made[-1]

    yield make
    for user in made:
        api.delete(f"/v2/users/{user['id']}").expect(200, 404)


@pytest.fixture
def make_idle_model(api):
    """Function (name, **fields) -> a model without replicas; all are removed afterwards."""
    made = []

    def make(name, **fields):
        body = {"name": name, "source": "local_path", "local_path": "/none.gguf", "replicas": 0,
                **fields}
        made.append(api.post("/v2/models", body).expect(200))
        return made[-1]

    yield make
    for model in made:
        api.delete(f"/v2/models/{model['id']}").expect(200, 404)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts the end of every living node's log below a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for node in harness.nodes:
            report.sections.append((f"log of {node.name}", node.log_tail()))
