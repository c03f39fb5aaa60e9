# SPDX-License-Identifier: Apache-2.0
"""Login, navigation, palette, keys, themes, languages, and what happens when the server goes."""

import re

import pytest
from playwright.sync_api import expect

import harness
from conftest import log_in


def test_a_wrong_password_is_refused_in_words(open_page, park):
    page = open_page(park.url)
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("the password is wrong")
    expect(page.get_by_label("Password", exact=True)).to_be_visible()


def test_the_first_page_says_where_the_password_is(open_page, park):
    page = open_page(park.url)
    page.get_by_role("button", name="First time here?").click()
    expect(page.get_by_text("initial_admin_password")).to_be_visible()


def test_the_initial_password_must_be_changed(open_page, park):
    park.admin.post("/v2/users", {"username": "newcomer", "password": harness.STRONG,
                                  "require_password_change": True}).expect(200)
    page = open_page(park.url)
    page.get_by_label("User name", exact=True).fill("newcomer")
    page.get_by_label("Password", exact=True).fill(harness.STRONG)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Choose your own password")).to_be_visible()
    page.get_by_label("New password", exact=False).first.fill("weak")
    expect(page.get_by_role("button", name="Set password")).to_be_disabled()
    page.get_by_label("New password", exact=False).first.fill(harness.STRONGER)
    page.get_by_label("New password again").fill(harness.STRONGER)
    page.get_by_role("button", name="Set password").click()
    # No administrator: what one may see is there, the rest is not.
    expect(page.get_by_role("link", name="Playground")).to_be_visible()
    expect(page.get_by_role("link", name="Workers")).to_have_count(0)


def test_links_come_back_to_where_they_lead(open_page, park):
    page = open_page(f"{park.url}/keys?q=harness")
    log_in(page)
    expect(page).to_have_url(f"{park.url}/keys?q=harness")
    expect(page.get_by_role("button", name="harness", exact=True)).to_be_visible()


def test_the_palette_finds_things(admin, park):
    admin.keyboard.press("Control+k")
    field = admin.get_by_role("combobox")
    expect(field).to_be_focused()
    field.fill("atlas-3")
    expect(admin.get_by_role("option", name="atlas-3", exact=True)).to_be_visible()
    admin.keyboard.press("Enter")
    expect(admin).to_have_url(re.compile(r"/workers/\d+$"))
    expect(admin.get_by_role("heading", name="atlas-3")).to_be_visible()


def test_keys_lead_to_pages(admin, park):
    admin.locator("main").click()
    admin.keyboard.press("g")
    admin.keyboard.press("w")
    expect(admin).to_have_url(f"{park.url}/workers")
    admin.keyboard.press("?")
    expect(admin.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    admin.keyboard.press("Escape")
    expect(admin.get_by_role("dialog")).to_have_count(0)
    expect(admin.get_by_role("link", name="atlas-1")).to_be_visible()
    admin.keyboard.press("j")
    expect(admin.locator("tr[data-active]")).to_be_focused()
    admin.keyboard.press("Enter")
    expect(admin).to_have_url(re.compile(r"/workers/\d+$"))


def test_theme_and_language_stay(admin, park):
    admin.goto(f"{park.url}/preferences")
    admin.get_by_role("combobox", name="Theme").select_option("dark")
    admin.get_by_role("combobox", name="Language").select_option("zh")
    expect(admin.get_by_role("heading", name="偏好设置")).to_be_visible()
    assert admin.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    admin.reload()
    expect(admin.get_by_role("heading", name="偏好设置")).to_be_visible()
    assert admin.evaluate("document.documentElement.lang") == "zh-CN"


def test_an_unknown_page_leads_home(admin, park):
    admin.goto(f"{park.url}/nothing")
    expect(admin.get_by_role("heading", name="There is no such page")).to_be_visible()
    admin.get_by_role("link", name="Go to the start page").click()
    expect(admin).to_have_url(f"{park.url}/overview")


def test_logging_out_ends_it(admin, open_page, park):
    # A session of its own: the shared one goes on.
    page = open_page(park.url)
    log_in(page)
    page.get_by_role("button", name="Account: admin").click()
    page.get_by_role("menuitem", name="Log out").click()
    expect(page.get_by_label("Password", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_label("Password", exact=True)).to_be_visible()


def test_a_change_shows_itself_in_every_tab(admin, park):
    other = admin.context.new_page()
    for page in (admin, other):
        page.goto(f"{park.url}/users")
        expect(page.get_by_role("button", name="admin", exact=True)).to_be_visible()
    user = park.admin.post("/v2/users", {"username": "tabs", "password": harness.STRONG})
    for page in (admin, other):
        expect(page.get_by_role("button", name="tabs", exact=True)).to_be_visible()
    park.admin.delete(f"/v2/users/{user.expect(200)['id']}").expect(200)
    for page in (admin, other):
        expect(page.get_by_role("button", name="tabs", exact=True)).to_have_count(0)


def test_control_may_be_killed_while_a_page_is_open(admin, park):
    admin.goto(f"{park.url}/workers")
    expect(admin.get_by_role("link", name="atlas-1")).to_be_visible()
    badge = admin.get_by_title("Whether this page shows")
    expect(badge).to_contain_text("Live")
    park.kill("control")
    expect(badge).not_to_contain_text("Live")
    expect(admin.get_by_role("link", name="atlas-1")).to_be_visible()    # rows stay
    expect(badge).to_contain_text("Live", timeout=60_000)
    expect(admin.get_by_role("link", name="atlas-1")).to_be_visible()


@pytest.mark.parametrize("width", [360, 768, 2560])
def test_the_frame_fits_any_width(admin, park, width):
    admin.set_viewport_size({"width": width, "height": 800})
    for path in ("/workers", "/keys", "/usage", "/preferences"):
        admin.goto(park.url + path)
        expect(admin.get_by_role("heading", level=1)).to_be_visible()
        assert admin.evaluate("document.documentElement.scrollWidth") <= width, path
    if width < 860:
        admin.get_by_role("button", name="Navigation").click()
    expect(admin.get_by_role("link", name="Users")).to_be_visible()
