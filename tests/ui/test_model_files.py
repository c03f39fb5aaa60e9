# SPDX-License-Identifier: Apache-2.0
"""Model files in the browser: a download from its form to the end with its progress, pause and
resume, the panel in the header, deleting with a question, what can't be fetched and why, and a
model of a hub from the form to "running"."""

import os
import pathlib
import re

import pytest
from playwright.sync_api import expect

import harness
from conftest import log_in
from stand_in_hub import StandInHub
from test_axe import LANGUAGES, THEMES, check, settled

LARGE, HELLO, NOWHERE = "acme/large-GGUF", "acme/hello-GGUF", "acme/none"
LARGE_BYTES = 8 << 20
SLOW_RATE, FAST_RATE = 300_000, 200_000_000  # bytes a second


@pytest.fixture(scope="module")
def hub(demo_model):
    with StandInHub() as hub:
        hub.uses_cdn = False  # control looks into files at the hub itself, or over https
        content = os.urandom(LARGE_BYTES)
        hub.add(LARGE, "large-Q8_0.gguf", content)
        hub.add(LARGE, "large-Q4_K_M.gguf", content[:LARGE_BYTES // 2])
        hub.add(HELLO, "hello-Q8_0.gguf", pathlib.Path(demo_model).read_bytes())
        yield hub


@pytest.fixture(scope="module")
def site(gpustack_binary, engine_dir, hub, tmp_path_factory):
    """A server with its own worker, whose hub is the one of this module."""
    cluster = harness.Cluster(gpustack_binary, engine_dir, tmp_path_factory.mktemp("files"),
                              env=hub.env)
    try:
        cluster.start()
        harness.wait_for(lambda: any((worker.get("status") or {}).get("cache")
                                     for worker in cluster.items("/v2/workers")),
                         what="the worker's storage")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def state(chromium, site):
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    page.goto(site.url)
    log_in(page)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def files(open_page, site, state, hub):
    """The page of model files of somebody who is logged in; nothing of it is left behind."""
    hub.rate = FAST_RATE
    page = open_page(f"{site.url}/model-files", storage_state=state)
    settled(page)
    yield page
    hub.rate = FAST_RATE
    for model in site.items("/v2/models"):
        site.delete_model(model["name"])
    clear(site)


def clear(site):
    def gone():
        for row in site.items("/v2/model-files"):
            if row["source"] != "local_path" and row["state"] != "deleting":
                site.admin.delete(f"/v2/model-files/{row['id']}?cleanup=true")
        return not rows(site)
    harness.wait_for(gone, what="no model file", pause=0.2)


def rows(site):
    return [row for row in site.items("/v2/model-files") if row["source"] != "local_path"]


def fetch(site, repo, pattern=None):
    """A download that is begun without the page. Returns its id."""
    body = {"source": "huggingface", "huggingface_repo_id": repo,
            "worker_id": site.items("/v2/workers")[0]["id"]}
    if pattern:
        body["huggingface_filename"] = pattern
    return site.admin.post("/v2/model-files", body).expect(200)["id"]


def line(page, words):
    return page.get_by_role("row").filter(has_text=words).first


def test_a_download_from_its_form_to_the_end(files, site, hub, shot):
    hub.rate = SLOW_RATE
    files.get_by_role("button", name="Download a file").first.click()
    form = files.get_by_role("dialog")
    form.get_by_role("button", name="Start the download").click()
    expect(form.get_by_text("Name a repository")).to_be_visible()
    # As it is copied from the hub's page: it falls apart into repository and file.
    form.get_by_label("Repository").fill(
        f"https://huggingface.co/{LARGE}/blob/main/large-Q8_0.gguf")
    form.get_by_label("File pattern").focus()
    expect(form.get_by_label("Repository")).to_have_value(LARGE)
    expect(form.get_by_label("File pattern")).to_have_value("large-Q8_0.gguf")
    expect(form).to_contain_text("are free")
    form.get_by_role("button", name="Start the download").click()
    expect(form).to_have_count(0)

    row = line(files, "large-Q8_0.gguf")
    bar = row.get_by_role("progressbar")
    words = re.compile(r"% · .+ of 8\.0 MiB · .+/s · .+left")
    expect(bar).to_have_attribute("aria-valuetext", words)
    first = int(bar.get_attribute("aria-valuenow"))
    expect(bar).not_to_have_attribute("aria-valuenow", str(first))
    shot(files, "download-under-way")

    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    kept = rows(site)[0]["downloaded"]
    assert 0 < kept < LARGE_BYTES
    hub.rate = FAST_RATE
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("Ready")
    assert rows(site)[0]["downloaded"] == LARGE_BYTES
    row.get_by_role("button", name="Open").click()
    expect(files.locator("tr.child").filter(has_text="large-Q8_0.gguf").first).to_be_visible()


def test_the_panel_in_the_header(files, site, hub, shot):
    hub.rate = SLOW_RATE
    fetch(site, LARGE, "*Q8_0*")
    files.goto(f"{site.url}/models")
    settled(files)
    button = files.get_by_role("banner").get_by_role("button", name="1 download under way")
    button.click()
    panel = files.get_by_role("region", name="Downloads")
    expect(panel.get_by_role("progressbar", name=f"{LARGE}/*Q8_0*")).to_be_visible()
    expect(panel).to_contain_text("left")
    shot(files, "downloads-panel")
    check(files, "panel of downloads")
    panel.get_by_role("button", name=f"Pause {LARGE}/*Q8_0*").click()
    expect(panel).to_contain_text("Paused")
    files.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    files.get_by_role("banner").get_by_role("button", name="0 downloads under way").click()
    panel.get_by_role("link", name=f"{LARGE}/*Q8_0*").click()
    expect(files).to_have_url(re.compile(r"/model-files\?file=\d+$"))
    expect(files.get_by_role("dialog")).to_contain_text("*Q8_0*")


def test_deleting_says_what_goes(files, site, hub, shot):
    number = fetch(site, LARGE, "*Q4_K_M*")
    row = line(files, "*Q4_K_M*")
    expect(row).to_contain_text("Ready")
    path = pathlib.Path(site.admin.get(f"/v2/model-files/{number}").expect(200)
                        ["resolved_paths"][0])
    assert path.stat().st_size == LARGE_BYTES // 2
    row.get_by_role("button", name="Actions for").click()
    files.get_by_role("menuitem", name="Delete").click()
    question = files.get_by_role("dialog")
    expect(question).to_contain_text("No model uses it.")
    expect(question).to_contain_text("1 file, 4.0 MiB")
    expect(question).to_contain_text(site.items("/v2/workers")[0]["name"])
    expect(question).to_contain_text(site.items("/v2/workers")[0]["status"]["cache"]["dir"])
    shot(files, "delete-model-file")
    check(files, "question before a delete")
    question.get_by_role("switch").uncheck()
    expect(question).to_contain_text("Nothing of the 4.0 MiB on disk")
    question.get_by_role("switch").check()
    question.get_by_role("button", name="Delete the files").click()
    expect(files.get_by_text("No model files yet")).to_be_visible()
    harness.wait_for(lambda: not path.exists(), what="the file gone")


def test_what_is_not_there_says_so(files, site, shot):
    fetch(site, NOWHERE)
    row = line(files, NOWHERE)
    expect(row).to_contain_text("name nothing that can be used")
    row.get_by_role("link", name=NOWHERE).click()
    details = files.get_by_role("dialog")
    expect(details).to_contain_text("Correct the repository or the file pattern")
    expect(details.get_by_role("button", name="Try again")).to_be_visible()
    shot(files, "download-failed")
    check(files, "download that failed")
    files.keyboard.press("Escape")
    expect(details).to_have_count(0)
    expect(files).to_have_url(re.compile(r"/model-files$"))


def test_a_model_of_a_hub_to_its_first_answer(files, site, hub, shot):
    """From a row: the form is filled in, says what is fetched, and the model runs."""
    files.goto(f"{site.url}/deploy?source={HELLO}/hello-Q8_0.gguf")
    preview = files.get_by_role("region", name="What would happen")
    expect(preview.get_by_role("region", name="Files")).to_contain_text("Hugging Face")
    check(files, "form of a hub's model")
    hub.rate = 100_000
    files.get_by_role("button", name="Deploy", exact=True).first.click()
    expect(files).to_have_url(re.compile(r"/models/\d+$"))
    waits = files.get_by_role("region", name="Its files")
    expect(waits.get_by_role("progressbar")).to_be_visible()
    shot(files, "model-downloading")
    check(files, "model whose files come")
    hub.rate = FAST_RATE
    expect(files.get_by_role("heading", level=1)).to_contain_text("Running")

    # Used by a model it can't be deleted, and the question says by which.
    files.goto(f"{site.url}/model-files")
    row = line(files, "hello-Q8_0.gguf")
    expect(row.get_by_role("link", name="hello", exact=True)).to_be_visible()
    row.get_by_role("button", name="Actions for").click()
    files.get_by_role("menuitem", name="Delete").click()
    question = files.get_by_role("dialog")
    expect(question).to_contain_text("Models use it")
    expect(question.get_by_role("button", name="Delete the files")).to_be_disabled()
    question.get_by_role("button", name="Cancel").click()
    row.get_by_role("link", name=re.compile("Deploy .*hello")).click()
    expect(files.get_by_role("combobox", name="Source")).to_have_value(f"{HELLO}/hello-Q8_0.gguf")
    expect(files.get_by_role("region", name="Files")).to_contain_text("nothing is downloaded")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("theme", THEMES)
def test_pages(open_page, site, state, hub, shot, theme, language):
    """With rows in several states: axe, in both widths."""
    hub.rate = SLOW_RATE
    clear(site)
    fetch(site, NOWHERE)
    fetch(site, LARGE, "*Q8_0*")
    wrong = []
    try:
        for name, width in {"": 1400, "phone-": 390}.items():
            page = open_page(f"{site.url}/model-files", storage_state=state, color_scheme=theme,
                             locale=LANGUAGES[language], viewport={"width": width, "height": 860})
            settled(page)
            expect(page.get_by_role("progressbar").first).to_be_visible()
            page.locator("tbody button[aria-expanded=false]").first.click()
            shot(page, f"model-files-rows-{name}{theme}-{language}")
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wrong.append(f"wider than {width} px")
            for path in ("", "?download=1", f"?file={rows(site)[0]['id']}"):
                page.goto(f"{site.url}/model-files{path}")
                settled(page)
                if path:
                    expect(page.get_by_role("dialog")).to_be_visible()
                    shot(page, f"model-files-{path.strip('?').split('=')[0]}-{name}{theme}-"
                               f"{language}")
                try:
                    check(page, f"model files{path}, {name}{theme}, {language}")
                except AssertionError as error:
                    wrong.append(str(error))
    finally:
        hub.rate = FAST_RATE
        clear(site)
    assert not wrong, "\n".join(wrong)
