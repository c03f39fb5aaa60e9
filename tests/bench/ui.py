# SPDX-License-Identifier: Apache-2.0
"""The web UI in headless Chromium: what a first visit fetches and how long it takes, lists of a
large cluster, changes of page, frames of the map, and a log of 5 GB.

Needs Playwright, which .venv has (./check ui makes it), and /usr/bin/chromium. The cluster is a
real server with load_workers.py's simulated workers; the log is a real engine's, made long by a
hole.
GPUSTACK_BENCH_CHROMIUM is another browser. doc/benchmarks.md says more.
"""

import functools
import http.server
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading

import report

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    PYTHON = report.TOP / ".venv/bin/python"
    if not PYTHON.exists() or pathlib.Path(sys.executable) == PYTHON:
        sys.exit("bench: ui needs Playwright: ./check ui installs it into .venv")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

import harness          # noqa: E402
import load_workers     # noqa: E402

CHROMIUM = os.environ.get("GPUSTACK_BENCH_CHROMIUM", "/usr/bin/chromium")
ROUNDS = 5
WORKERS, DEVICES, MODELS, REPLICAS = 200, 8, 50, 10
LOG_BYTES = 5 << 30
SECONDS = 90_000    # milliseconds that anything may take

# Milliseconds until a selector is there, its frame is made and the main thread has nothing to do:
# then a key or a click is answered.
WATCH = """(selector) => {
  window.__idle = new Promise((resolve) => {
    const observer = new MutationObserver(() => {
      if (!document.querySelector(selector)) return;
      observer.disconnect();
      requestAnimationFrame(() => requestIdleCallback(() => resolve(performance.now())));
    });
    observer.observe(document, {childList: true, subtree: true});
  });
}"""

# The same from a click on a link of the page, in milliseconds.
CLICK = """([link, selector]) => new Promise((resolve) => {
  const begin = performance.now();
  const look = () => {
    if (!document.querySelector(selector)) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin)));
  };
  const observer = new MutationObserver(look);
  observer.observe(document, {childList: true, subtree: true, characterData: true});
  document.querySelector(link).click();
})"""

FRAMES = """() => new Promise((resolve) => {
  let count = 0, begin = 0;
  const frame = (now) => {
    begin ||= now;
    if (now - begin >= 3000) resolve(Math.round(count / ((now - begin) / 1000)));
    else { count++; requestAnimationFrame(frame); }
  };
  requestAnimationFrame(frame);
})"""


class Browser:
    def __init__(self, playwright):
        self.browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[
            "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"])
        self.state = None

    def page(self, **options):
        context = self.browser.new_context(viewport={"width": 1400, "height": 900},
                                           locale="en-US", **options)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        return page

    def log_in(self, url):
        page = self.page()
        page.goto(url)
        page.get_by_label("Password", exact=True).fill(harness.PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("navigation").wait_for()
        self.state = page.context.storage_state()
        page.context.close()


def time_of_visit(browser, url, selector, state=None):
    """(bytes fetched, milliseconds until it can be used) of a visit with an empty cache."""
    page = browser.page(storage_state=state)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    loaded = []
    network.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
    page.add_init_script(f"({WATCH})({json.dumps(selector)})")
    page.goto(url)
    took = page.evaluate("window.__idle")
    page.context.close()
    return sum(loaded), took


def measure_visits(out, browser, url):
    visits = [time_of_visit(browser, f"{url}/login", "input[type=password]")
              for _ in range(ROUNDS)]
    out.add("ui_first_load", max(size for size, _ in visits) / 1024, "KiB", "<=", 120)
    out.add("ui_login_interactive", statistics.median(took for _, took in visits), "ms", "<=", 1000)
    visits = [time_of_visit(browser, f"{url}/overview", "main h1", browser.state)
              for _ in range(ROUNDS)]
    out.add("ui_overview_interactive", statistics.median(took for _, took in visits), "ms", "<=",
            1000)


def measure_lists(out, browser, url):
    """Each list ROUNDS times; the first fetches the chunk of its page too."""
    page = browser.page(storage_state=browser.state)
    page.goto(f"{url}/keys")
    page.locator("header .live, button.live").first.wait_for()
    for name in ("workers", "devices", "models"):
        row = f"main [aria-label='{name.capitalize()}'] tbody tr[data-key]"
        times = [page.evaluate(CLICK, [f"nav a[href='/{name}']", row])]
        for _ in range(ROUNDS):
            page.evaluate(CLICK, ["nav a[href='/keys']", "main [aria-label='API keys']"])
            times.append(page.evaluate(CLICK, [f"nav a[href='/{name}']", row]))
        out.tell(f"ui_{name}_first", times[0], "ms")
        out.add(f"ui_{name}", statistics.median(times[1:]), "ms", "<=", 200)
    times = []
    for _ in range(ROUNDS):
        for path, there in (("/users", "main [aria-label='Users']"),
                            ("/keys", "main [aria-label='API keys']")):
            times.append(page.evaluate(CLICK, [f"nav a[href='{path}']", there]))
    out.add("ui_route_change", statistics.median(times), "ms", "<=", 100)
    out.tell("ui_route_change_max", max(times), "ms")
    page.context.close()


def measure_map(out, browser):
    """The page of ui/tests/bench, beside one in which nothing happens."""
    top = report.TOP / "ui"
    subprocess.run(["npx", "vite", "build", "-c", "tests/bench/vite.config.ts"], cwd=top,
                   check=True, stdout=subprocess.DEVNULL)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=report.TOP / "build/ui/bench")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.page()
        empty = page.evaluate(FRAMES)
        page.goto(f"http://127.0.0.1:{server.server_port}/tests/bench/map.html?devices=5000")
        page.wait_for_function("window.result")
        found = page.evaluate("window.result")
        page.context.close()
        server.shutdown()
    out.tell("ui_empty_fps", empty, "frames/s")
    out.add("ui_map_fps", found["fps"], "frames/s", ">=", min(60, empty - 1))
    out.tell("ui_map_longest_frame", found["longest_ms"], "ms")
    out.tell("ui_map_update", found["update_ms"], "ms")


def fleet(cluster):
    """Simulated workers and models; returns their process when all instances run."""
    pipe, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(
        target=load_workers.run, daemon=True,
        args=(theirs, str(cluster.data_dir / "run/control.sock"), cluster.token(), WORKERS))
    process.start()
    theirs.close()
    assert pipe.poll(120) and pipe.recv() == "joined"
    for number in range(MODELS):
        cluster.admin.post("/v2/models", {
            "name": f"model-{number}", "source": "local_path", "local_path": "/models/m.gguf",
            "replicas": REPLICAS}).expect(200)

    def run():
        page = cluster.admin.get("/v2/model-instances?perPage=1&state=running").expect(200)
        return page["pagination"]["total"] == MODELS * REPLICAS

    harness.wait_for(run, 120, "all instances run", pause=0.5)
    return process


def measure_log(out, browser, folder):
    """From the click on the link to a log until its last line is there."""
    model = folder / "hello.gguf"
    subprocess.run([report.build("tests/lib/make_model"), model, "I am a model."], check=True)
    cluster = harness.Cluster(report.BINARY, report.ENGINES, folder, name="log")
    try:
        cluster.start()
        cluster.deploy("hello", model)
        instance = cluster.instances("hello")[0]
        serve = cluster.data_dir / "log/serve"
        path = max((one for one in serve.rglob("*") if one.is_file()),
                   key=lambda one: one.stat().st_size)
        with open(path, "ab") as file:
            file.truncate(LOG_BYTES)
            file.seek(0, os.SEEK_END)
            file.write(b"\n" + b"".join(b"line %d of the end\n" % i for i in range(1, 101)))
        browser.log_in(cluster.url)
        page = browser.page(storage_state=browser.state)
        page.goto(f"{cluster.url}/logs")
        link = f"main a[href='/logs?instances={instance['id']}']"
        page.locator(link).first.wait_for()
        page.evaluate("""(link) => {
          window.__begin = performance.now();
          document.querySelector(link).click();
        }""", link)
        page.get_by_text("line 100 of the end").first.wait_for()
        took = page.evaluate("performance.now() - window.__begin")
        out.add("ui_log_5gb", took, "ms", "<=", 1000)
        page.context.close()
    finally:
        cluster.stop()


def main():
    out = report.Report()
    with report.alone(), tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = pathlib.Path(name)
        browser = Browser(playwright)
        cluster = harness.Cluster(report.BINARY, report.ENGINES, folder, ["--disable-worker"])
        workers = None
        try:
            cluster.start()
            browser.log_in(cluster.url)
            measure_visits(out, browser, cluster.url)
            workers = fleet(cluster)
            measure_lists(out, browser, cluster.url)
        finally:
            if workers:
                workers.kill()
                workers.join()
            cluster.stop()
        measure_map(out, browser)
        measure_log(out, browser, folder)
        print(f"({WORKERS} workers with {DEVICES} devices each, {MODELS * REPLICAS} instances; "
              f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")
        browser.browser.close()
    return out.status()


if __name__ == "__main__":
    sys.exit(main())
