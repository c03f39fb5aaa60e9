# SPDX-License-Identifier: Apache-2.0
"""Models from the form to an answer: deploy, why one waits, scale, stop, start, edit, delete, the
catalog; and how few clicks that takes."""

import re

import pytest
from playwright.sync_api import expect

import harness


def line_of(page, name):
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def choose(page, name, action):
    page.get_by_role("button", name=f"Actions for {name}", exact=True).click()
    page.get_by_role("menuitem", name=action, exact=True).click()


@pytest.fixture
def tidy(park):
    """Takes away the models that a test has made."""
    before = {model["name"] for model in park.items("/v2/models")}
    yield
    for model in park.items("/v2/models"):
        if model["name"] not in before:
            park.delete_model(model["name"])


@pytest.fixture
def served(park, demo_model, tidy):
    """A model of its own, running."""
    park.deploy("own", demo_model)
    return park.model("own")["id"]


def test_from_the_form_to_an_answer(admin, park, demo_model, tidy):
    admin.goto(f"{park.url}/deploy")
    admin.get_by_role("combobox", name="Source").fill(str(demo_model))
    preview = admin.get_by_role("region", name="What would happen")
    expect(preview).to_contain_text("Fits")
    expect(preview).to_contain_text("Replica 1")
    admin.get_by_label("Name", exact=True).fill("greeter")
    expect(admin.get_by_text("--name greeter")).to_be_visible()          # the same as a command
    admin.get_by_role("button", name="Deploy", exact=True).first.click()
    expect(admin).to_have_url(re.compile(r"/models/\d+$"))
    expect(admin.get_by_role("heading", level=1)).to_contain_text("Running")
    admin.get_by_role("link", name="Talk to it").click()
    expect(admin).to_have_url(re.compile(r"/playground\?.*greeter"))
    box = admin.get_by_role("textbox", name="Message", exact=True)
    box.fill("Who are you?")
    box.press("Enter")
    expect(admin.get_by_role("log")).to_contain_text("I am the gpustack demo model")


def test_the_form_says_what_is_missing(admin, park):
    admin.goto(f"{park.url}/deploy")
    admin.get_by_role("button", name="Deploy", exact=True).first.click()
    expect(admin.get_by_text("Say where the files are:")).to_be_visible()
    admin.get_by_role("combobox", name="Source").fill("/models/none.gguf")
    admin.get_by_label("Name", exact=True).fill("hello")
    admin.get_by_role("button", name="Deploy", exact=True).first.click()
    expect(admin.get_by_text("There is a model of that name.")).to_be_visible()
    admin.get_by_role("button", name="Start over").click()
    expect(admin.get_by_role("combobox", name="Source")).to_have_value("")


def test_a_menu_opens_by_touch_and_by_keyboard(open_page, park, admin_state):
    page = open_page(f"{park.url}/models", has_touch=True, storage_state=admin_state)
    button = page.get_by_role("button", name="Actions for hello", exact=True)
    button.tap()
    expect(page.get_by_role("menuitem", name="Clone")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    page.reload()
    button.focus()
    expect(button).to_be_focused()
    for key in ("Enter", "ArrowDown"):
        page.keyboard.press(key)
        expect(page.get_by_role("menuitem", name="Clone")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("menu")).to_have_count(0)
        expect(button).to_be_focused()


def test_why_a_model_waits_needs_no_click(admin, park, demo_model, tidy):
    park.deploy("waiting", demo_model, wait=False, gpu_selector={"gpus_per_replica": 64})
    reason = harness.wait_for(lambda: park.instances("waiting")[0]["state_message"],
                              what="a reason to wait")
    admin.goto(f"{park.url}/models")
    line = line_of(admin, "waiting")
    expect(line).to_contain_text("Pending")
    words = line.locator(".reason")
    expect(words).to_be_visible()
    expect(words).not_to_be_empty()
    expect(words).to_have_attribute("title", reason)
    line.get_by_role("link", name="waiting", exact=True).click()
    expect(admin.get_by_role("main").locator(".trouble")).to_contain_text("Pending")


def test_replicas_stop_start_and_delete(admin, park, served):
    admin.goto(f"{park.url}/models")
    line = line_of(admin, "own")
    count = line.get_by_role("group", name="Replicas of own")
    expect(count).to_contain_text("1/1")
    line.get_by_role("button", name="One replica more").click()
    expect(count).to_contain_text("2/2")
    park.wait_running("own", 2)
    line.get_by_role("button", name="One replica less").click()
    expect(count).to_contain_text("1/1")

    line.get_by_role("button", name="One replica less").click()
    question = admin.get_by_role("dialog", name="Stop own?")
    expect(question).to_contain_text("These names stop answering: own")
    question.get_by_role("button", name="Stop").click()
    expect(line).to_contain_text("Stopped")
    harness.wait_for(lambda: "own" not in park.served(), what="own is no longer served")
    choose(admin, "own", "Start")
    expect(line).to_contain_text("Running")
    expect(count).to_contain_text("1/1")

    choose(admin, "own", "Delete")
    question = admin.get_by_role("dialog", name="Delete own?")
    expect(question).to_contain_text("Files on the workers stay.")
    question.get_by_role("button", name="Cancel").click()
    expect(line).to_be_visible()
    choose(admin, "own", "Delete")
    question.get_by_role("button", name="Delete").click()
    expect(line).to_have_count(0)
    harness.wait_for(lambda: not park.instances("own"), what="its instances are gone")


def test_several_models_at_once(admin, park, demo_model, tidy):
    for name in ("first", "second"):
        park.deploy(name, demo_model, replicas=0, wait=False)
    admin.goto(f"{park.url}/models")
    for name in ("first", "second"):
        line_of(admin, name).get_by_role("checkbox").check()
    tools = admin.get_by_role("toolbar")
    expect(tools).to_contain_text("2 selected")
    tools.get_by_role("button", name="Start").click()
    for name in ("first", "second"):
        expect(line_of(admin, name)).to_contain_text("Running")
    tools.get_by_role("button", name="Delete").click()
    admin.get_by_role("dialog", name=re.compile("Delete 2 models")).get_by_role(
        "button", name="Delete").click()
    for name in ("first", "second"):
        expect(line_of(admin, name)).to_have_count(0)


def test_an_edit_says_what_it_causes(admin, park, served):
    generation = park.model("own")["generation"]
    admin.goto(f"{park.url}/models/{served}?edit=1")
    form = admin.get_by_role("dialog", name="Edit own")
    save = form.get_by_role("button", name="Save")
    expect(form).to_contain_text("Nothing differs.")
    expect(save).to_be_disabled()
    form.get_by_label("Context").fill("2048")
    differs = form.get_by_role("group", name="What differs")
    expect(differs).to_contain_text("Engine parameters")
    expect(differs).to_contain_text("Instances are replaced")
    expect(differs).to_contain_text("2048")
    save.click()
    expect(form).to_have_count(0)
    expect(admin.get_by_role("region", name="Notifications")).to_contain_text("own is saved")
    assert park.model("own")["generation"] > generation
    park.wait_running("own")
    admin.get_by_role("tab", name="Earlier settings").click()
    expect(admin.get_by_role("button", name="Go back to it").first).to_be_visible()


def test_an_edit_finds_that_somebody_was_faster(admin, park, served):
    admin.goto(f"{park.url}/models/{served}?edit=1")
    form = admin.get_by_role("dialog", name="Edit own")
    form.get_by_label("Replicas").fill("2")
    expect(form.get_by_role("group", name="What differs")).to_contain_text("Replicas")
    park.admin.put(f"/v2/models/{served}", {"description": "by another hand"}).expect(200)
    form.get_by_role("button", name="Save").click()
    alert = form.get_by_role("alert")
    expect(alert).to_contain_text("by another hand")
    alert.get_by_role("button", name="Take that over and go on with mine").click()
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    park.wait_running("own", 2)
    assert park.model("own")["description"] == "by another hand"


def test_from_the_catalog_to_a_deployment_are_two_clicks(admin, park, tidy):
    admin.goto(f"{park.url}/catalog?q=qwen")
    variant = admin.get_by_role("link", name=re.compile("^Deploy .* as ")).first
    expect(variant).to_contain_text(re.compile("Fits|Doesn’t fit"))
    variant.click()                                                       # one
    expect(admin).to_have_url(re.compile(r"/deploy\?catalog="))
    name = admin.get_by_label("Name", exact=True)
    expect(name).not_to_have_value("")
    made = name.input_value()
    admin.get_by_role("button", name="Deploy", exact=True).first.click()  # two
    expect(admin).to_have_url(re.compile(r"/models/\d+$"))
    expect(admin.get_by_role("heading", level=1)).to_contain_text(made)
    assert park.model(made)


def test_a_model_is_used_from_a_program(admin, park, served):
    admin.goto(f"{park.url}/models")
    choose(admin, "own", "Use from a program")
    panel = admin.get_by_role("dialog", name="Use own from a program")
    expect(panel).to_contain_text(f"{park.url}/v1")
    expect(panel).to_contain_text("own")


def test_an_instance_has_a_page(admin, park, served):
    instance = park.instances("own")[0]
    admin.goto(f"{park.url}/models/{served}")
    admin.get_by_role("link", name=instance["name"], exact=True).first.click()
    expect(admin).to_have_url(f"{park.url}/instances/{instance['id']}")
    expect(admin.get_by_role("heading", level=1)).to_contain_text(instance["name"])
    expect(admin.get_by_role("main")).to_contain_text("Running")
    expect(admin.get_by_role("main")).to_contain_text(instance["worker_name"])
