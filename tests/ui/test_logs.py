# SPDX-License-Identifier: Apache-2.0
"""Logs: one click from a model, search, link to a line, follow, download, several, runs."""

import re

import pytest
from playwright.sync_api import expect

import harness


@pytest.fixture(scope="module")
def two(park, demo_model):
    """A model with two instances."""
    park.deploy("talkers", demo_model, replicas=2)
    yield park.instances("talkers")
    park.delete_model("talkers")


def log_of(page):
    return page.get_by_role("log")


def opened(admin, park, instances):
    ids = ",".join(str(one["id"]) for one in instances)
    admin.goto(f"{park.url}/logs?instances={ids}")
    expect(log_of(admin)).to_contain_text("llama")


def test_logs_are_one_click_from_a_model(admin, park, two):
    admin.goto(f"{park.url}/models")
    admin.get_by_role("link", name="Logs of talkers", exact=True).click()
    expect(admin).to_have_url(re.compile(r"/logs\?instances="))
    for instance in two:
        expect(admin.get_by_role("link", name=instance["name"]).first).to_be_visible()
    expect(log_of(admin)).to_contain_text("llama")


def test_the_page_offers_all_instances(admin, park, two):
    admin.goto(f"{park.url}/logs")
    expect(admin.get_by_role("heading", name="Whose logs?")).to_be_visible()
    admin.get_by_role("link", name=two[0]["name"], exact=True).click()
    expect(log_of(admin)).to_contain_text("llama")
    admin.get_by_role("button", name=f"Remove: {two[0]['name']}").click()
    expect(admin.get_by_role("heading", name="Whose logs?")).to_be_visible()


def test_words_are_found_and_stepped_through(admin, park, two):
    opened(admin, park, two[:1])
    admin.keyboard.press("/")
    field = admin.get_by_role("searchbox", name="Search")
    expect(field).to_be_focused()
    field.fill("model")
    place = admin.locator(".found")
    expect(place).to_contain_text(re.compile(r"\d"))
    admin.get_by_role("button", name="Next match").click()
    expect(place).to_contain_text(re.compile(r"^\d+ of \d+"))
    expect(log_of(admin).locator("mark").first).to_be_visible()
    field.fill("surely-nowhere")
    expect(place).to_contain_text("No match")
    admin.get_by_role("button", name="Close the search").click()
    expect(field).to_have_value("")


def test_a_line_has_a_link(admin, park, two):
    opened(admin, park, two[:1])
    line = log_of(admin).get_by_role("link").first
    line.click()
    expect(admin).to_have_url(re.compile("#"))
    url = admin.url
    other = admin.context.new_page()
    other.goto(url)
    expect(log_of(other)).to_contain_text("llama")
    assert other.url == url


def test_what_is_written_appears_and_can_be_downloaded(admin, park, two):
    opened(admin, park, two[:1])
    expect(admin.get_by_text("Following", exact=True)).to_be_visible()
    lines = log_of(admin)
    before = park.admin.get(f"/v2/model-instances/{two[0]['id']}/logs").expect(200)
    park.chat("talkers")
    park.chat("talkers")
    harness.wait_for(lambda: len(park.admin.get(
        f"/v2/model-instances/{two[0]['id']}/logs").expect(200)) > len(before),
        what="the engine writes")
    added = park.admin.get(f"/v2/model-instances/{two[0]['id']}/logs").expect(200)[len(before):]
    word = max(re.findall(r"[a-z_]{4,}", added), key=len)
    expect(lines).to_contain_text(word)
    with admin.expect_download() as download:
        admin.get_by_role("link", name="Download this run").click()
    with open(download.value.path(), encoding="utf-8", errors="replace") as file:
        assert "llama" in file.read()


def test_two_logs_stand_together(admin, park, two):
    opened(admin, park, two)
    for instance in two:
        expect(admin.get_by_role("log", name=re.compile(instance["name"]))).to_be_visible()
    admin.get_by_role("button", name=f"Remove: {two[1]['name']}").click()
    expect(admin).to_have_url(re.compile(rf"instances={two[0]['id']}($|&)"))


def test_runs_of_before_stay_there(admin, park, demo_model):
    park.deploy("again", demo_model)
    try:
        pid = park.kill_engine("again")
        harness.wait_for(lambda: park.instances("again")[0]["state"] == "running"
                         and park.instances("again")[0]["pid"] != pid, 40, "another engine runs")
        opened(admin, park, park.instances("again"))
        runs = admin.get_by_role("combobox", name="Runs")
        runs.select_option(index=1)
        expect(admin).to_have_url(re.compile(r"run=\d"))
        expect(log_of(admin)).to_contain_text("llama")
    finally:
        park.delete_model("again")


def test_logs_that_are_gone_are_said_to_be(admin, park):
    admin.goto(f"{park.url}/logs?instances=99999")
    expect(admin.get_by_text("no longer there")).to_be_visible()
