# SPDX-License-Identifier: Apache-2.0
"""axe-core finds nothing on any page, in both themes, at phone width, with what opens opened; and a
screenshot of every page in every theme and language, kept in build/check-logs/screenshots."""

import json

import pytest
from playwright.sync_api import expect

import harness
from conftest import NODES, TOP, cards, log_in

AXE = (TOP / "ui/node_modules/axe-core/axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async (rules) => {
  const found = await axe.run(document, {runOnly: rules, resultTypes: ["violations"]});
  return found.violations.map((one) => ({rule: one.id, what: one.help,
    where: one.nodes.slice(0, 4).map(
        (node) => node.target.join(" ") + ": " + node.failureSummary)}));
}"""
THEMES, LANGUAGES = ("light", "dark"), {"en": "en-US", "zh": "zh-CN"}
PAGES = ["overview", "playground", "usage", "keys", "models", "deploy", "catalog", "model-files",
         "routes", "logs", "workers", "devices", "users", "preferences", "models/:model",
         "instances/:instance", "workers/:worker", "devices/atlas-1:npu:0"]


def check(page, what):
    """Runs axe as it is now; its text goes through the debugger, which the page's own policy
    doesn't stop."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate(RUN, RULES)
    assert found == [], f"{what}: {json.dumps(found, indent=1, ensure_ascii=False)}"


def settled(page):
    """All rows are told and nothing loads any more."""
    expect(page.locator("header button.live")).to_be_attached()
    expect(page.locator("main h1").first).to_be_attached()
    expect(page.locator("main .spinner")).to_have_count(0)


@pytest.fixture(scope="module")
def paths(park, demo_model):
    """Path of every page; a model that waits, a route and some use are there, too."""
    park.deploy("too-large", demo_model, wait=False, gpu_selector={"gpus_per_replica": 64})
    park.admin.post("/v2/model-routes", {
        "name": "house", "targets": [{"model_id": park.model("hello")["id"]}]}).expect(200)
    park.chat("hello")
    ids = {":model": park.model("hello")["id"], ":instance": park.instances("hello")[0]["id"],
           ":worker": next(one["id"] for one in park.items("/v2/workers")
                           if one["name"] == NODES[0])}
    out = {}
    for page in PAGES:
        path = page
        for name, number in ids.items():
            path = path.replace(name, str(number))
        out[page] = f"{park.url}/{path}"
    cards(park.folder, "atlas-2", temperature=93, core_utilization=80)
    yield out
    cards(park.folder, "atlas-2")
    for route in park.items("/v2/model-routes"):
        park.admin.delete(f"/v2/model-routes/{route['id']}").expect(200)
    park.delete_model("too-large")


def page_with(open_page, park, state, theme, language="en", **options):
    """A logged-in page in a theme and a language."""
    page = open_page(f"{park.url}/preferences", storage_state=state, color_scheme=theme,
                     locale=LANGUAGES[language], **options)
    settled(page)
    return page


def name_of(page):
    return page.replace("/:", "-").replace("/", "-").partition(":")[0]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("theme", THEMES)
def test_pages(open_page, park, admin_state, paths, shot, theme, language):
    page = page_with(open_page, park, admin_state, theme, language)
    wrong = []
    for name, url in paths.items():
        page.goto(url)
        settled(page)
        shot(page, f"{name_of(name)}-{theme}-{language}")
        if language == "en":
            try:
                check(page, f"{name}, {theme}")
            except AssertionError as error:
                wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("theme", THEMES)
def test_pages_on_a_phone(open_page, park, admin_state, paths, shot, theme):
    page = page_with(open_page, park, admin_state, theme,
                     viewport={"width": 360, "height": 740})
    wrong = []
    for name, url in paths.items():
        page.goto(url)
        settled(page)
        shot(page, f"{name_of(name)}-phone-{theme}-en")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wrong.append(f"{name}: {width} px wide on a phone")
        try:
            check(page, f"{name} on a phone, {theme}")
        except AssertionError as error:
            wrong.append(str(error))
    page.get_by_role("button", name="Navigation").click()
    expect(page.get_by_role("link", name="Users")).to_be_visible()
    check(page, f"navigation on a phone, {theme}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("theme", THEMES)
def test_login(open_page, park, shot, theme, language):
    page = open_page(park.url, color_scheme=theme, locale=LANGUAGES[language])
    expect(page.locator("input[type=password]")).to_be_visible()
    shot(page, f"login-{theme}-{language}")
    check(page, f"login, {theme}, {language}")


# What opens: path, how it is opened, what is there then.
OPENED = {
    "palette": ("overview", lambda page: page.keyboard.press("Control+k"), "[role=listbox]"),
    "keys-help": ("overview", lambda page: page.keyboard.press("?"), "dialog"),
    "account-menu": ("overview", lambda page: page.get_by_role(
        "button", name="Account: admin").click(), "[role=menu]"),
    "new-key": ("keys?new=1", None, "dialog"),
    "new-user": ("users?new=1", None, "dialog"),
    "new-route": ("routes?new=1", None, "dialog"),
    "add-worker": ("workers?add=1", None, "dialog code"),
    "row-menu": ("workers", lambda page: page.get_by_role(
        "button", name="Actions on atlas-1").click(), "[role=menu]"),
    "labels": ("workers", lambda page: (
        page.get_by_role("button", name="Actions on atlas-1").click(),
        page.get_by_role("menuitem", name="Edit labels").click()), "dialog"),
    "confirm": ("workers", lambda page: (
        page.get_by_role("button", name="Actions on atlas-1").click(),
        page.get_by_role("menuitem", name="Delete").click()), "dialog"),
    "selection": ("workers", lambda page: page.get_by_role(
        "checkbox", name="Select all").check(), "[role=toolbar]"),
    "columns": ("workers", lambda page: page.get_by_role(
        "button", name="Columns").click(), "[aria-expanded=true]"),
    "map-as-table": ("overview?view=table", None, "main table"),
    "worker-history": ("workers/:worker?tab=history", None, "main canvas"),
    "rows-opened": ("models", lambda page: page.get_by_role("row").filter(has_text="hello").first
                    .get_by_role("button", name="Open").click(), "tr.child"),
}


@pytest.mark.parametrize("theme", THEMES)
def test_what_opens(open_page, park, admin_state, paths, shot, theme):
    page = page_with(open_page, park, admin_state, theme)
    worker = paths["workers/:worker"].rpartition("/")[2]
    wrong = []
    for name, (path, act, there) in OPENED.items():
        page.goto(f"{park.url}/{path.replace(':worker', worker)}")
        settled(page)
        if act:
            page.locator("main").click(position={"x": 3, "y": 3})
            act(page)
        expect(page.locator(there).first).to_be_visible()
        shot(page, f"{name}-{theme}-en")
        try:
            check(page, f"{name}, {theme}")
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


def test_empty_lists(open_page, park, shot):
    """As a user who has nothing yet."""
    user = park.admin.post("/v2/users", {"username": "empty", "password": harness.STRONG})
    number = user.expect(200)["id"]
    page = open_page(park.url)
    log_in(page, "empty", harness.STRONG)
    try:
        for path in ("keys", "usage", "playground", "nothing"):
            page.goto(f"{park.url}/{path}")
            settled(page)
            shot(page, f"empty-{path}-light-en")
            check(page, f"{path}, empty")
    finally:
        park.admin.delete(f"/v2/users/{number}").expect(200)
