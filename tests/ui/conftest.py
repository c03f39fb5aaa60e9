# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the browser tests: the real binary with the built UI, five workers with eight fake
910B4 each beside one with a real engine, and Chromium.

    .venv/bin/pytest tests/ui              # after ./run --build-only; ./check ui does both
"""

import importlib.util
import json
import pathlib
import re
import sys

import pytest
from playwright.sync_api import expect, sync_playwright

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/func"))
spec = importlib.util.spec_from_file_location("func_fixtures", TOP / "tests/func/conftest.py")
func_fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(func_fixtures)

import harness                                   # noqa: E402

SHOTS = TOP / "build/check-logs/screenshots"     # kept by CI
NODES = [f"atlas-{i}" for i in range(1, 6)]
CARDS, CARD_BYTES = 8, 32 << 30
SLOW = 20_000                                    # milliseconds that anything may take here

# The same binary, engine and models as in tests/func.
gpustack_binary = func_fixtures.gpustack_binary
engine_dir = func_fixtures.engine_dir
make_model = func_fixtures.make_model
demo_model = func_fixtures.demo_model
make_cluster = func_fixtures.make_cluster
pytest_runtest_makereport = func_fixtures.pytest_runtest_makereport

expect.set_options(timeout=SLOW)


def cards(folder, node, **fields):
    """File of a worker's fake devices: eight 910B4 in one island."""
    path = pathlib.Path(folder) / f"{node}.json"
    card = {"type": "npu", "name": "910B4", "count": CARDS, "memory_total": CARD_BYTES,
            "memory_used": 1 << 30, "island_size": CARDS, "link": "hccs", **fields}
    made = path.with_suffix(".new")
    made.write_text(json.dumps({"devices": [card]}))
    made.rename(path)
    return path


@pytest.fixture(scope="session")
def park(gpustack_binary, engine_dir, demo_model, tmp_path_factory):
    """Server with its own worker (real engine, no devices), five workers with fake ones, and the
    demo model as "hello"."""
    folder = tmp_path_factory.mktemp("park")
    cluster = harness.Cluster(gpustack_binary, engine_dir, folder)
    try:
        cluster.start()
        for node in NODES:
            cluster.add_worker(node, ["--fake-devices", str(cards(folder, node))])
        cluster.deploy("hello", demo_model)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                  "--disable-background-networking", "--disable-component-update",
                  "--disable-sync"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Function (url, **context options) -> a page in a browser of its own. At the end no page may
    have thrown, broken the content security policy or asked another server."""
    contexts, wrong = [], []

    def make(url, **options):
        origin = "/".join(url.split("/")[:3])
        options.setdefault("viewport", {"width": 1400, "height": 900})
        options.setdefault("locale", "en-US")
        context = chromium.new_context(reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text)
                if message.type == "error" and not re.match("Failed to load resource", message.text)
                else None)
        page.on("request", lambda request: wrong.append(request.url)
                if not request.url.startswith((origin, "blob:", "data:")) else None)
        page.goto(url)
        return page

    yield make
    for context in contexts:
        context.close()
    assert wrong == []


def log_in(page, name="admin", password=harness.PASSWORD):
    page.get_by_label("User name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation")).to_be_visible()


@pytest.fixture(scope="session")
def admin_state(chromium, park):
    """Cookies of a login as administrator, made once: passwords are slow on purpose."""
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    page.goto(park.url)
    log_in(page)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def admin(open_page, park, admin_state):
    """A page of the park, logged in as administrator: on the overview."""
    page = open_page(park.url, storage_state=admin_state)
    expect(page.get_by_role("navigation")).to_be_visible()
    return page


@pytest.fixture
def shot():
    """Function (page, name): keeps a screenshot."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return lambda page, name: page.screenshot(path=str(SHOTS / f"{name}.png"))
