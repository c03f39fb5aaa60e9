# SPDX-License-Identifier: Apache-2.0
"""Overview, workers and devices: what they show, and what is done with workers."""

import re
import shlex

import pytest
from playwright.sync_api import expect

import harness
from conftest import CARDS, NODES, cards

ALL_CARDS = CARDS * len(NODES)


def line_of(page, name):
    """Row of a table by the link that names it."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def choose(page, name, action):
    page.get_by_role("button", name=f"Actions on {name}", exact=True).click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def worker(park, name):
    return next(one for one in park.items("/v2/workers") if one["name"] == name)


@pytest.fixture
def as_before(park):
    """Gives every worker its labels back and ends its maintenance."""
    before = {one["id"]: one["labels"] for one in park.items("/v2/workers")}
    yield
    for one, labels in before.items():
        park.admin.put(f"/v2/workers/{one}", {"labels": labels,
                                              "maintenance": {"enabled": False}}).expect(200)


@pytest.fixture
def spread(park, demo_model):
    """A model on the fake devices of atlas-5: an engine of the real kind there."""
    made = []

    def make(name, **fields):
        park.deploy(name, demo_model, worker_selector={"worker-name": "atlas-5"},
                    **{"gpus_per_replica": 1, **fields})
        made.append(name)
        return park.instances(name)[0]

    yield make
    for name in made:
        park.delete_model(name)


# --- workers -------------------------------------------------------------------------------------


def test_workers_are_listed_and_filtered(admin, park):
    admin.goto(f"{park.url}/workers")
    for node in NODES:
        line = line_of(admin, node)
        expect(line).to_contain_text("Ready")
        expect(line).to_contain_text("910B4")
        expect(line).to_contain_text("256 GiB")
    admin.keyboard.press("/")
    admin.keyboard.type("atlas-4")
    expect(admin).to_have_url(f"{park.url}/workers?q=atlas-4")
    expect(line_of(admin, "atlas-1")).to_have_count(0)
    expect(line_of(admin, "atlas-4")).to_be_visible()
    admin.get_by_label("Search in Workers").fill("nobody")
    expect(admin.get_by_text("Nothing matches “nobody”.")).to_be_visible()
    admin.goto(f"{park.url}/workers?state=unreachable")
    expect(admin.get_by_role("heading", name="No worker is in this state")).to_be_visible()
    admin.get_by_role("button", name="Show all").click()
    expect(line_of(admin, "atlas-1")).to_be_visible()
    with admin.expect_download() as download:
        admin.get_by_role("button", name="Save as CSV").click()
    with open(download.value.path(), encoding="utf-8-sig") as file:
        text = file.read()
    assert all(node in text for node in NODES)


def test_labels_of_one_and_of_several(admin, park, as_before):
    admin.goto(f"{park.url}/workers")
    choose(admin, "atlas-1", "Edit labels")
    form = admin.get_by_role("dialog", name="Labels of atlas-1")
    form.get_by_role("button", name="Add").click()
    form.get_by_label("Labels, name").last.fill("rack")
    form.get_by_label("Labels, value").last.fill("7")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(line_of(admin, "atlas-1")).to_contain_text("rack=7")

    for node in ("atlas-1", "atlas-2"):
        line_of(admin, node).get_by_role("checkbox").check()
    admin.get_by_role("toolbar").get_by_role("button", name="Edit labels").click()
    form = admin.get_by_role("dialog", name="Labels of 2 workers")
    form.get_by_role("button", name="Add").click()
    form.get_by_label("Labels, name 1").fill("zone")
    form.get_by_label("Labels, value 1").fill("east")
    form.get_by_role("button", name="Save").click()
    expect(line_of(admin, "atlas-1")).to_contain_text("zone=east")
    expect(line_of(admin, "atlas-2")).to_contain_text("zone=east")
    assert worker(park, "atlas-1")["labels"]["rack"] == "7"
    assert "rack" not in worker(park, "atlas-2")["labels"]


def test_maintenance_begins_with_a_word_and_ends(admin, park, as_before):
    admin.goto(f"{park.url}/workers")
    choose(admin, "atlas-2", "Start maintenance")
    form = admin.get_by_role("dialog", name="Maintenance of atlas-2")
    form.get_by_label("Why, for others to read").fill("New memory")
    form.get_by_role("button", name="Start maintenance").click()
    expect(line_of(admin, "atlas-2")).to_contain_text("Maintenance")
    assert worker(park, "atlas-2")["maintenance"]["message"] == "New memory"
    admin.goto(f"{park.url}/workers?state=maintenance")
    expect(line_of(admin, "atlas-1")).to_have_count(0)
    line_of(admin, "atlas-2").get_by_role("link", name="atlas-2").click()
    expect(admin.get_by_role("main").get_by_text("New memory")).to_be_visible()
    admin.get_by_role("button", name="End maintenance").click()
    expect(admin.get_by_role("button", name="Start maintenance")).to_be_visible()
    expect(admin.get_by_role("heading", level=1)).to_contain_text("Ready")
    harness.wait_for(lambda: not worker(park, "atlas-2")["maintenance"]["enabled"],
                     what="the maintenance is over")


def test_a_machine_joins_by_the_command_and_is_removed(admin, park):
    admin.goto(f"{park.url}/workers?add=1")
    panel = admin.get_by_role("dialog", name="Add a worker")
    expect(panel.get_by_text("Waiting for a new worker")).to_be_visible()
    panel.get_by_role("radio", name=re.compile("Ascend")).check()
    expect(panel.get_by_text("npu-smi")).to_be_visible()
    command = panel.locator("code").filter(has_text="gpustack start")
    expect(command).to_contain_text("••••••••")
    assert park.token() not in admin.content()
    panel.get_by_text("Name, address, data folder").click()
    panel.get_by_label("Name", exact=True).fill("atlas-new")
    panel.get_by_role("button", name="Show the secret").click()
    expect(command).to_contain_text(park.token())
    token, _, start, *options = shlex.split(command.inner_text())
    assert start == "start" and park.token() not in options   # arguments can be seen by all

    # That very command, with ports and folders beside those of the others.
    name, _, value = token.partition("=")
    devices = ["--fake-devices", str(cards(park.folder, "atlas-new"))]
    node = harness.Worker(park, "atlas-new", devices, {name: value})
    place = harness.Node.command(node)
    node.command = lambda: [*place, *options]
    park.workers.append(node)
    try:
        node.start()
        expect(panel.get_by_role("link", name="atlas-new has joined")).to_be_visible()
        expect(panel).to_contain_text("910B4")
        admin.keyboard.press("Escape")
        expect(line_of(admin, "atlas-new")).to_contain_text("Ready")
    finally:
        node.stop()
        park.workers.remove(node)
    choose(admin, "atlas-new", "Delete")
    question = admin.get_by_role("dialog", name="Remove this worker?")
    expect(question).to_contain_text("atlas-new: instances there: 0.")
    question.get_by_role("button", name="Delete").click()
    expect(line_of(admin, "atlas-new")).to_have_count(0)


def test_the_page_of_a_worker(admin, park):
    admin.goto(f"{park.url}/workers")
    line_of(admin, "atlas-1").get_by_role("link", name="atlas-1").click()
    expect(admin.get_by_role("heading", name="atlas-1")).to_be_visible()
    machine = admin.get_by_role("region", name="Machine")
    for words in ("Address", "Version", "llama"):
        expect(machine).to_contain_text(words)
    devices = admin.get_by_role("region", name="Devices")
    expect(devices.get_by_role("link", name=re.compile("910B4"))).to_have_count(CARDS)
    admin.get_by_role("tab", name="History").click()
    expect(admin).to_have_url(re.compile("tab=history"))
    expect(admin.locator("main canvas").first).to_be_visible()
    admin.get_by_role("tab", name="Events").click()
    expect(admin).to_have_url(re.compile("tab=events"))
    expect(admin.get_by_role("region", name="Events")).to_contain_text("joined")
    admin.get_by_role("tab", name="Overview").click()
    devices.get_by_role("link", name="3 · 910B4").click()
    expect(admin.get_by_role("heading", name="atlas-1 · 3")).to_be_visible()
    admin.goto(f"{park.url}/workers/999")
    expect(admin.get_by_role("heading", name="There is no such worker")).to_be_visible()


# --- overview ------------------------------------------------------------------------------------


def test_the_way_to_a_first_answer(admin, park):
    """As long as nobody has asked anything; here the sums say so."""
    admin.route("**/v2/usage?*", lambda route: route.fulfill(json={
        "items": [], "pagination": {"page": 1, "perPage": 5, "total": 0, "totalPage": 0}}))
    admin.goto(f"{park.url}/overview")
    expect(admin.get_by_role("heading", name="hello is ready to answer")).to_be_visible()
    admin.get_by_role("link", name="Talk to it").click()
    expect(admin).to_have_url(re.compile("/playground.model=hello"))


def test_counters_lead_to_their_lists(admin, park):
    counters = admin.get_by_role("list", name="What there is")
    for name, count, path in (("Workers", len(NODES) + 1, "workers"),
                              ("Devices", ALL_CARDS, "devices"), ("Models", 1, "models")):
        admin.goto(f"{park.url}/overview")
        counters.get_by_role("link", name=f"{count} {name}", exact=True).click()
        expect(admin).to_have_url(f"{park.url}/{path}")
    admin.goto(f"{park.url}/overview")
    counters.get_by_role("link", name=f"{len(NODES) + 1} ready").click()
    expect(admin).to_have_url(f"{park.url}/workers?state=ready")
    expect(line_of(admin, "atlas-1")).to_be_visible()


def test_what_is_broken_needs_attention_with_its_reason(admin, park):
    attention = admin.get_by_role("region", name=re.compile("Needs attention|All is well"))
    expect(attention).to_be_visible()
    park.admin.post("/v2/models", {"name": "nowhere", "source": "local_path", "replicas": 1,
                                   "local_path": "/nowhere/model.gguf"}).expect(200)
    try:
        link = attention.get_by_role("link").filter(has_text="nowhere")
        expect(link).to_contain_text("nowhere: an instance")
        reason = park.instances("nowhere")[0]["state_message"]
        expect(link.get_by_title(reason)).not_to_be_empty()
        link.click()
        expect(admin).not_to_have_url(re.compile("/overview"))
        admin.goto(f"{park.url}/overview")
    finally:
        park.delete_model("nowhere")
    expect(attention.get_by_role("link").filter(has_text="nowhere")).to_have_count(0)


def test_the_map_goes_by_keyboard_and_has_an_equal_table(admin, park):
    board = admin.get_by_role("application", name=f"Map of {ALL_CARDS} devices")
    told = admin.locator(".place [aria-live]")
    admin.locator("main").click(position={"x": 5, "y": 5})
    board.focus()
    admin.keyboard.press("Home")
    expect(told).to_contain_text("atlas-1 0, 910B4")
    admin.keyboard.press("ArrowRight")
    expect(told).to_contain_text("atlas-1 1, 910B4")
    admin.keyboard.press("End")
    expect(told).to_contain_text("910B4")
    admin.keyboard.press("Home")
    expect(told).to_contain_text("atlas-1 0,")
    while "Nothing runs here" not in told.inner_text():      # "hello" is somewhere
        admin.keyboard.press("ArrowRight")
    worker, index = told.inner_text().split(",")[0].split()
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("heading", name=f"{worker} · {index}")).to_be_visible()

    admin.goto(f"{park.url}/overview?color=memory")
    expect(admin.get_by_role("radio", name="Memory")).to_be_checked()
    admin.get_by_role("button", name="As table").click()
    expect(admin).to_have_url(re.compile("view=table"))
    table = admin.get_by_role("table")
    expect(table).to_have_attribute("aria-rowcount", str(ALL_CARDS + 1))
    expect(table.get_by_role("link", name="atlas-1 · 0")).to_be_visible()


def test_from_a_device_to_its_model_is_one_click(admin, park, spread):
    instance = spread("onecard")
    admin.goto(f"{park.url}/overview")
    board = admin.get_by_role("application")
    index = instance["gpu_indexes"][0]
    told = admin.locator(".place [aria-live]")
    board.focus()
    admin.keyboard.press("Home")
    for _ in range(ALL_CARDS):
        if f"atlas-5 {index}," in told.inner_text():
            break
        admin.keyboard.press("ArrowRight")
    expect(told).to_contain_text("onecard")
    admin.keyboard.press("Enter")
    expect(admin).to_have_url(re.compile(rf"/(models/{instance['model_id']}"
                                         rf"|instances/{instance['id']})$"))


# --- devices -------------------------------------------------------------------------------------


def test_devices_are_listed_and_filtered(admin, park, spread):
    instance = spread("onecard")
    admin.goto(f"{park.url}/devices")
    table = admin.get_by_role("table")
    expect(table).to_have_attribute("aria-rowcount", str(ALL_CARDS + 1))
    admin.get_by_label("Worker", exact=True).select_option("atlas-3")
    expect(admin).to_have_url(f"{park.url}/devices?worker=atlas-3")
    expect(table).to_have_attribute("aria-rowcount", str(CARDS + 1))
    admin.goto(f"{park.url}/devices?model=onecard")
    expect(table).to_have_attribute("aria-rowcount", "2")
    expect(table.get_by_role("link", name="onecard")).to_be_visible()
    admin.get_by_label("State", exact=True).select_option("free")
    expect(admin.get_by_role("link", name="onecard")).to_have_count(0)

    admin.goto(f"{park.url}/devices?model=onecard")
    admin.get_by_role("link", name=f"atlas-5 · {instance['gpu_indexes'][0]}").click()
    expect(admin.get_by_role("heading", level=1)).to_contain_text("atlas-5 ·")
    runs = admin.get_by_role("region", name="What runs on it")
    expect(runs.get_by_role("link", name="onecard", exact=True)).to_be_visible()
    expect(runs.get_by_role("link", name=instance["name"])).to_be_visible()
    expect(runs).to_contain_text(str(instance["pid"]))
    facts = admin.get_by_role("region", name="Facts")
    expect(facts).to_contain_text("7 devices, by hccs")
    expect(admin.get_by_role("heading", name="History")).to_be_visible()


def test_a_device_follows_its_worker(admin, park):
    admin.goto(f"{park.url}/devices/{'atlas-4:npu:0'}")
    now = admin.get_by_role("region", name="Now")
    expect(now).to_contain_text("1.0 GiB used")
    cards(park.folder, "atlas-4", temperature=71, memory_used=5 << 30)
    try:
        expect(now).to_contain_text("71 °C")
        expect(now).to_contain_text("5.0 GiB used")
    finally:
        cards(park.folder, "atlas-4")
    admin.goto(f"{park.url}/devices/atlas-4:npu:99")
    expect(admin.get_by_role("heading", name="There is no device atlas-4:npu:99")).to_be_visible()
