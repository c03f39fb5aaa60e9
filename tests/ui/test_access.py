# SPDX-License-Identifier: Apache-2.0
"""Who may do what: API keys, users, usage, routes, preferences; and what others than
administrators are offered."""

import csv
import io
import re

import pytest
from playwright.sync_api import expect

import harness
from conftest import log_in

ADMIN_PAGES = {"Overview": "overview", "Models": "models", "Deploy": "deploy", "Catalog": "catalog",
               "Model files": "model-files", "Routes": "routes", "Logs": "logs",
               "Workers": "workers", "Devices": "devices", "Users": "users"}


def row(page, name):
    """Row of a table by what it is called."""
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))


def choose(page, name, action):
    """An action out of the menu of a row."""
    page.get_by_role("button", name=f"Actions on {name}", exact=True).click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def status_with(park, key):
    return park.http(key).get("/v1/models").status


def told(page):
    """What the page says about what was done."""
    return page.get_by_role("region", name="Notifications")


def fresh_key(page):
    """The value that is shown once; closes what shows it."""
    value = page.get_by_test_id("fresh-key").inner_text()
    page.get_by_role("button", name="I have copied it").click()
    expect(page.get_by_test_id("fresh-key")).to_have_count(0)
    return value


def make_key(page, name, **choices):
    """Fills in the open form of a new key and returns its value."""
    form = page.get_by_role("dialog", name="Make a key")
    form.get_by_label("Name", exact=True).fill(name)
    for label, value in choices.items():
        form.get_by_label(label, exact=True).select_option(label=value)
    form.get_by_role("button", name="Make a key").click()
    return fresh_key(page)


@pytest.fixture
def no_keys(park):
    """Takes away the keys that a test has made, but for the harness's own."""
    before = {key["id"] for key in park.items("/v2/api-keys")}
    yield
    for key in park.items("/v2/api-keys"):
        if key["id"] not in before:
            park.admin.delete(f"/v2/api-keys/{key['id']}").expect(200)


@pytest.fixture
def user(park):
    """Function (name, **fields): makes a user."""
    made = []

    def make(name, **fields):
        body = {"username": name, "password": harness.STRONG, **fields}
        made.append(park.admin.post("/v2/users", body).expect(200)["id"])
        return made[-1]

    yield make
    for one in made:
        park.admin.delete(f"/v2/users/{one}").expect(200, 404)


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_is_made_shown_once_and_works(admin, park, no_keys):
    admin.context.grant_permissions(["clipboard-read", "clipboard-write"])
    admin.goto(f"{park.url}/keys")
    admin.get_by_role("button", name="Make a key").click()
    expect(admin).to_have_url(f"{park.url}/keys?new=1")
    form = admin.get_by_role("dialog", name="Make a key")
    form.get_by_label("Name", exact=True).fill("nightly")
    form.get_by_label("Description").fill("of the nightly job")
    form.get_by_label("Expires").select_option(label="7 days")
    form.get_by_label("Good for").select_option(label="Inference")
    form.get_by_role("button", name="Add a name").click()
    form.get_by_label("Models, item 1").fill("hello")
    form.get_by_label("Requests per minute").fill("600")
    form.get_by_role("button", name="Make a key").click()

    shown = admin.get_by_test_id("fresh-key")
    value = shown.inner_text()
    admin.keyboard.press("Escape")                 # too easily pressed: it stays
    expect(shown).to_be_visible()
    admin.get_by_role("dialog").get_by_role("button", name="Copy").first.click()
    expect(admin.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    assert admin.evaluate("navigator.clipboard.readText()") == value
    assert fresh_key(admin) == value
    admin.reload()
    expect(row(admin, "nightly")).to_be_visible()
    assert value not in admin.content()

    line = row(admin, "nightly")
    for words in ("Active", "Inference", "hello", "600 requests/min", "in 6 days", "Not yet"):
        expect(line).to_contain_text(words)
    harness.wait_for(lambda: status_with(park, value) == 200, what="the key works")
    models = park.http(value).get("/v1/models").expect(200)["data"]
    assert [model["id"] for model in models] == ["hello"]
    park.http(value).get("/v2/models").expect(403)


def test_a_key_is_edited_and_turned_off_and_on(admin, park, no_keys):
    value = park.make_key({"name": "switched"})
    admin.goto(f"{park.url}/keys?q=switched")
    admin.get_by_role("button", name="switched", exact=True).click()
    form = admin.get_by_role("dialog", name="Key switched")
    form.get_by_label("Name", exact=True).fill("renamed")
    form.get_by_label("Tokens per minute").fill("5000")
    form.get_by_role("button", name="Save").click()
    expect(told(admin)).to_contain_text("renamed is saved")
    expect(form).to_have_count(0)
    admin.goto(f"{park.url}/keys?q=renamed")
    expect(row(admin, "renamed")).to_contain_text("5K tokens/min")

    choose(admin, "renamed", "Turn off")
    expect(row(admin, "renamed")).to_contain_text("Off")
    harness.wait_for(lambda: status_with(park, value) == 401, what="the key is refused")
    choose(admin, "renamed", "Turn on")
    expect(row(admin, "renamed")).to_contain_text("Active")
    harness.wait_for(lambda: status_with(park, value) == 200, what="the key works again")


def test_a_key_is_rotated_with_and_without_an_overlap(admin, park, no_keys):
    first = park.make_key({"name": "turning"})
    admin.goto(f"{park.url}/keys")
    choose(admin, "turning", "Rotate")
    question = admin.get_by_role("dialog", name="Rotate turning")
    question.get_by_label("The old value works for another").select_option(label="1 hour")
    question.get_by_role("button", name="Rotate").click()
    second = fresh_key(admin)
    assert second != first
    harness.wait_for(lambda: status_with(park, second) == 200, what="the new value works")
    assert status_with(park, first) == 200

    choose(admin, "turning", "Rotate")
    question.get_by_label("The old value works for another").select_option(
        label="Not at all: it is refused at once")
    question.get_by_role("button", name="Rotate").click()
    third = fresh_key(admin)
    harness.wait_for(lambda: status_with(park, third) == 200, what="the third value works")
    harness.wait_for(lambda: status_with(park, second) == 401, what="the second is refused")


def test_deleting_keys_asks_once(admin, park, no_keys):
    values = [park.make_key({"name": name}) for name in ("gone-1", "gone-2")]
    admin.goto(f"{park.url}/keys?q=gone-")
    choose(admin, "gone-1", "Delete")
    question = admin.get_by_role("dialog", name="Delete this key?")
    expect(question).to_contain_text("gone-1: programs that use it are refused at once")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_have_count(0)
    assert status_with(park, values[0]) == 200

    admin.get_by_role("checkbox", name="Select all").check()
    tools = admin.get_by_role("toolbar")
    expect(tools).to_contain_text("2 selected")
    tools.get_by_role("button", name="Delete").click()
    admin.get_by_role("dialog", name="Delete 2 keys?").get_by_role("button", name="Delete").click()
    expect(row(admin, "gone-1")).to_have_count(0)
    expect(row(admin, "gone-2")).to_have_count(0)
    for value in values:
        harness.wait_for(lambda one=value: status_with(park, one) == 401, what="it is refused")


def test_a_name_that_is_taken_is_said_in_the_form(admin, park, no_keys):
    park.make_key({"name": "taken"})
    admin.goto(f"{park.url}/keys?new=1")
    form = admin.get_by_role("dialog", name="Make a key")
    form.get_by_label("Name", exact=True).fill("taken")
    form.get_by_role("button", name="Make a key").click()
    expect(form.get_by_role("alert")).to_contain_text("taken")
    admin.keyboard.press("Escape")
    expect(form).to_have_count(0)
    expect(admin).to_have_url(f"{park.url}/keys")


# --- users ---------------------------------------------------------------------------------------


def test_a_user_is_added_and_the_form_says_what_is_wrong(admin, open_page, park):
    admin.goto(f"{park.url}/users?new=1")
    form = admin.get_by_role("dialog", name="Add a user")
    add = form.get_by_role("button", name="Add a user")
    form.get_by_label("User name").fill("no spaces")
    expect(form.get_by_role("alert")).to_contain_text("Only letters, digits")
    form.get_by_label("User name").fill("paula")
    form.get_by_label("First password").fill("weak")
    expect(form.get_by_role("alert")).to_contain_text("does not meet the rules")
    expect(add).to_be_disabled()
    form.get_by_label("First password").fill(harness.STRONG)
    form.get_by_label("Full name").fill("Paula P.")
    form.get_by_role("switch", name="Must choose an own password").uncheck()
    add.click()
    expect(form).to_have_count(0)
    line = row(admin, "paula")
    for words in ("Paula P.", "User", "Active"):
        expect(line).to_contain_text(words)

    page = open_page(park.url)
    log_in(page, "paula", harness.STRONG)
    expect(page.get_by_role("button", name="Account: paula")).to_be_visible()

    admin.get_by_role("button", name="Add a user").click()
    form.get_by_label("User name").fill("paula")
    form.get_by_label("First password").fill(harness.STRONG)
    add.click()
    expect(form.get_by_role("alert")).to_contain_text("paula")
    admin.keyboard.press("Escape")

    choose(admin, "paula", "Delete")
    question = admin.get_by_role("dialog", name="Delete this user?")
    expect(question).to_contain_text("paula: login and all API keys are gone for good")
    question.get_by_role("button", name="Delete").click()
    expect(line).to_have_count(0)
    # Their page finds out by itself.
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_a_user_is_deactivated_activated_and_made_an_administrator(admin, park, user):
    user("quentin")
    admin.goto(f"{park.url}/users?q=quentin")
    line = row(admin, "quentin")
    choose(admin, "quentin", "Deactivate")
    question = admin.get_by_role("dialog", name="Deactivate this user?")
    question.get_by_role("button", name="Deactivate").click()
    expect(line).to_contain_text("Inactive")
    login = {"username": "quentin", "password": harness.STRONG}
    park.http().post("/auth/login", login).expect(401)
    choose(admin, "quentin", "Activate")
    expect(line).not_to_contain_text("Inactive")
    harness.wait_for(lambda: park.http().post("/auth/login", login).status == 200,
                     what="quentin may log in again")

    admin.get_by_role("button", name="quentin", exact=True).click()
    form = admin.get_by_role("dialog", name="User quentin")
    expect(form.get_by_label("User name")).to_be_disabled()
    form.get_by_role("switch", name="Administrator").check()
    form.get_by_role("button", name="Save").click()
    expect(line).to_contain_text("Administrator")


def test_nobody_can_take_away_their_own_access(admin, park):
    admin.goto(f"{park.url}/users?q=admin")
    admin.get_by_role("button", name="Actions on admin", exact=True).click()
    for action in ("Deactivate", "Delete"):
        expect(admin.get_by_role("menuitem", name=action, exact=True)).to_be_disabled()
    admin.keyboard.press("Escape")
    admin.get_by_role("button", name="admin", exact=True).click()
    form = admin.get_by_role("dialog", name="User admin")
    for name in ("Administrator", "Active"):
        expect(form.get_by_role("switch", name=name)).to_be_disabled()


# --- usage ---------------------------------------------------------------------------------------


def figure(page, label):
    """What stands under a word in the sums of the usage page."""
    return page.locator("dl.sums .card").filter(has_text=label).locator("dd")


def test_usage_is_what_was_asked_for(admin, park, no_keys):
    value = park.make_key({"name": "counted"})
    key_id = next(key["id"] for key in park.items("/v2/api-keys") if key["name"] == "counted")
    user = park.http(value)
    prompt = completion = 0
    for count in (3, 5, 7):
        body = {"model": "hello", "max_tokens": count,
                "messages": [{"role": "user", "content": "Who are you?"}]}
        usage = user.post("/v1/chat/completions", body).expect(200)["usage"]
        prompt += usage["prompt_tokens"]
        completion += usage["completion_tokens"]

    def requests():
        query = f"/v2/usage?group_by=model&key_ids={key_id}"
        return park.admin.get(query).expect(200)["summary"]["requests"]

    made = 3
    harness.wait_for(lambda: requests() == made, what="usage is summed")
    admin.goto(f"{park.url}/keys")
    choose(admin, "counted", "Usage")
    expect(admin).to_have_url(f"{park.url}/usage?keys={key_id}")
    expect(figure(admin, "Requests")).to_have_text(str(made))
    expect(figure(admin, "Prompt tokens")).to_have_attribute("title", str(prompt))
    expect(figure(admin, "Completion tokens")).to_have_attribute("title", str(completion))
    table = admin.get_by_role("region", name="model")
    expect(table.get_by_role("link", name="hello")).to_be_visible()
    expect(table.get_by_role("row").filter(has_text="hello")).to_contain_text(
        str(prompt + completion))
    # The chart says the same to those who can't see it.
    cells = admin.locator("table", has=admin.get_by_text("Tokens over time")).locator("tbody tr")
    sums = cells.evaluate_all("rows => [1, 2, 3].map((i) => rows.reduce("
                              "(sum, row) => sum + Number(row.cells[i].textContent), 0))")
    assert sums == [prompt, completion, made]

    admin.get_by_label("Group by").select_option(label="By API key")
    expect(admin).to_have_url(f"{park.url}/usage?keys={key_id}&group=key")
    expect(admin.get_by_role("row").filter(has_text="counted")).to_be_visible()
    admin.get_by_label("Time", exact=True).select_option(label="Last 24 hours")
    expect(admin).to_have_url(re.compile("range=24h"))
    admin.reload()
    expect(figure(admin, "Completion tokens")).to_have_attribute("title", str(completion))

    with admin.expect_download() as download:
        admin.get_by_role("link", name="CSV", exact=True).click()
    with open(download.value.path(), encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    assert sum(int(one["prompt_tokens"]) for one in rows) == prompt
    assert sum(int(one["completion_tokens"]) for one in rows) == completion
    assert sum(int(one["requests"]) for one in rows) == made

    admin.get_by_role("button", name="Show all").click()
    expect(admin).not_to_have_url(re.compile("keys="))


def test_usage_says_when_there_is_none(admin, park, user):
    admin.goto(f"{park.url}/usage?users={user('idle')}")
    expect(admin.get_by_role("heading", name="Nothing was used in this time")).to_be_visible()
    admin.get_by_role("link", name="Try the playground").click()
    expect(admin).to_have_url(re.compile("/playground"))


# --- routes --------------------------------------------------------------------------------------


@pytest.fixture
def two_models(park, demo_model):
    """A stopped model beside "hello"; takes away the routes that a test has made."""
    park.deploy("other", demo_model, replicas=0, wait=False)
    yield
    for route in park.items("/v2/model-routes"):
        park.admin.delete(f"/v2/model-routes/{route['id']}").expect(200)
    park.delete_model("other")


def test_a_route_is_made_edited_and_deleted(admin, park, two_models):
    admin.goto(f"{park.url}/routes")
    expect(admin.get_by_role("heading", name="No routes yet")).to_be_visible()
    admin.get_by_role("button", name="Make a route").last.click()
    form = admin.get_by_role("dialog", name="Make a route")
    make = form.get_by_role("button", name="Make a route")
    form.get_by_label("Name", exact=True).fill("house")
    form.get_by_label("Model", exact=True).select_option(label="hello")
    form.get_by_label("Weight").fill("75")
    form.get_by_role("button", name="Add a model").click()
    expect(make).to_be_disabled()                          # the second one isn't chosen yet
    form.get_by_label("Model", exact=True).nth(1).select_option(label="other")
    form.get_by_label("Weight").nth(1).fill("25")
    expect(form).to_contain_text("75%")
    make.click()
    expect(told(admin)).to_contain_text("house is saved and in force")
    line = row(admin, "house")
    for words in ("Served", "hello", "75%", "other", "25%"):
        expect(line).to_contain_text(words)
    harness.wait_for(lambda: "house" in park.served(), what="house is served")
    assert park.chat("house")

    admin.get_by_role("button", name="house", exact=True).click()
    form = admin.get_by_role("dialog", name="Route house")
    form.get_by_role("button", name="Remove").first.click()
    form.get_by_label("Fallback").select_option(label="other")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(line).to_contain_text("Not served")              # other has no instance
    expect(line.get_by_role("link", name="hello")).to_have_count(0)

    choose(admin, "house", "Delete")
    question = admin.get_by_role("dialog", name="Delete this route?")
    expect(question).to_contain_text("The models stay.")
    question.get_by_role("button", name="Delete").click()
    expect(admin.get_by_role("heading", name="No routes yet")).to_be_visible()


# --- preferences and model files -----------------------------------------------------------------


def test_a_password_is_changed_and_ends_other_logins(open_page, park, user):
    user("rosa")
    page, other = open_page(park.url), open_page(park.url)
    for one in (page, other):
        log_in(one, "rosa", harness.STRONG)
    page.goto(f"{park.url}/preferences")
    page.get_by_label("Current password").fill("wrong")
    page.get_by_label("New password", exact=True).fill(harness.STRONGER)
    page.get_by_label("New password again").fill(harness.STRONG)
    expect(page.get_by_text("The two are not the same.")).to_be_visible()
    change = page.get_by_role("button", name="Change password")
    expect(change).to_be_disabled()
    page.get_by_label("New password again").fill(harness.STRONGER)
    change.click()
    expect(page.get_by_role("alert")).to_contain_text("password")
    page.get_by_label("Current password").fill(harness.STRONG)
    change.click()
    expect(page.get_by_text("The password is changed.")).to_be_visible()
    expect(page.get_by_label("Current password")).to_have_value("")
    other.reload()
    expect(other.get_by_role("button", name="Log in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Account: rosa")).to_be_visible()
    park.http().post("/auth/login", {"username": "rosa",
                                     "password": harness.STRONGER}).expect(200)


def test_density_changes_the_rows_and_stays(admin, park):
    heights = {}
    for density in ("compact", "comfortable"):
        admin.goto(f"{park.url}/preferences")
        admin.get_by_label("Density").select_option(density)
        admin.goto(f"{park.url}/workers")
        line = row(admin, "atlas-1")
        expect(line).to_be_visible()
        heights[density] = line.bounding_box()["height"]
    assert heights["compact"] < heights["comfortable"]


def test_model_files_are_listed_by_worker(admin, park, demo_model):
    admin.goto(f"{park.url}/model-files")
    table = admin.get_by_role("region", name="Model files")
    there = table.get_by_role("row").filter(has_text=str(demo_model)).filter(has_text="atlas-1")
    expect(there).to_contain_text("There")
    expect(there.get_by_role("link", name="hello", exact=True)).to_be_visible()
    admin.get_by_label("State", exact=True).select_option(label="Missing")
    expect(admin).to_have_url(re.compile("state=missing"))
    expect(there).to_have_count(0)
    admin.get_by_label("State", exact=True).select_option(label="Any state")
    there.get_by_role("link", name="Deploy").click()
    expect(admin).to_have_url(re.compile(r"/deploy\?source="))


# --- others than administrators ------------------------------------------------------------------


def test_users_are_offered_what_they_may_do(open_page, park, user):
    user("sam")
    page = open_page(park.url)
    log_in(page, "sam", harness.STRONG)
    navigation = page.get_by_role("navigation")
    for name in ("Playground", "Usage", "API keys"):
        expect(navigation.get_by_role("link", name=name)).to_be_visible()
    for name, path in ADMIN_PAGES.items():
        expect(navigation.get_by_role("link", name=name, exact=True)).to_have_count(0)
        page.goto(f"{park.url}/{path}")
        expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("Workers")
    expect(page.get_by_role("option", name="Workers", exact=True)).to_have_count(0)
    page.keyboard.press("Escape")

    page.goto(f"{park.url}/usage")
    expect(page.get_by_role("heading", name="Nothing was used in this time")).to_be_visible()
    expect(page.get_by_label("Group by").get_by_role("option", name="By user")).to_have_count(0)

    page.goto(f"{park.url}/keys")
    expect(page.get_by_role("heading", name="You have no API keys yet")).to_be_visible()
    page.goto(f"{park.url}/keys?new=1")
    value = make_key(page, "sams", Expires="Never")
    expect(row(page, "sams")).to_contain_text("Never")
    harness.wait_for(lambda: status_with(park, value) == 200, what="sam's key works")
    park.http(value).get("/v2/workers").expect(403)
    park.http(value).post("/v1/chat/completions", {
        "model": "hello", "max_tokens": 2,
        "messages": [{"role": "user", "content": "Hi"}]}).expect(200)
    harness.wait_for(lambda: park.http(value).get("/v2/usage?group_by=model").expect(200)
                     ["summary"]["requests"] == 1, what="sam's request is summed")
    page.goto(f"{park.url}/usage?group=key")
    expect(page.get_by_role("row").filter(has_text="sams")).to_be_visible()
