# SPDX-License-Identifier: Apache-2.0
"""Limits of keys, users and models: what passes, what is refused and in which words, what comes
back, who counts what; alone and on a whole cluster."""

import calendar
import glob
import math
import re
import subprocess
import threading
import time

import pytest

import harness
import scripted
from harness import wait_for
from raw_http import RawClient

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
SUBJECTS = ["key", "user", "model"]
KEY_ID, USER_ID, MODEL_ID = 1, 1, 50
IDS = {"key": KEY_ID, "user": USER_ID, "model": MODEL_ID}
OTHER_GATEWAY = "0b9d5f3c-91b5-4c3e-8a53-aa4a3f1a2b01"
HOUR_MS, DAY_MS = 3600 * 1000, 24 * 3600 * 1000
DURATION = re.compile(r"(\d+m)?(\d+(\.\d+)?s|\d+ms)$")
LEFT = re.compile(r": (-?\d+) are left, and the request may need (\d+)$")


class Gateway(scripted.ScriptedGateway):
    """With the model "m" and a way to limit whom a test is about."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.put("model", id=MODEL_ID, name="m")

    def limit(self, subject, **limits):
        self.change(subject, IDS[subject], **limits)

    def ask(self, script="", **body):
        return self.post(script=script, **body)

    def left(self, subject, budget):
        """Tokens that are left of a budget, by a refusal for a request that needs nearly all."""
        reply = self.ask(max_tokens=budget - 35)
        assert reply.status == 429, f"all of the {budget} are left"
        message = reply.json()["error"]["message"]
        assert message.startswith(f"token_budget of this {subject} is {budget} ("), message
        return int(LEFT.search(message)[1])

    def spent(self, subject, tokens, gateway=OTHER_GATEWAY, applied=0, start_ms=None):
        """What control tells of a budget of a day."""
        now_ms = int(time.time() * 1000)
        self.put("spending", id=IDS[subject], subject=subject, tokens=tokens, gateway=gateway,
                 applied=applied,
                 period_start_ms=now_ms // DAY_MS * DAY_MS if start_ms is None else start_ms)

    @property
    def uuid(self):
        return (self.data_dir / "gateway/uuid").read_text().strip()


@pytest.fixture
def gateway(gpustack_binary, tmp_path):
    """It runs, with one engine that says prompt=20 and 16 tokens of output."""
    made = Gateway(gpustack_binary, tmp_path)
    made.engine = made.add_engine("chunks=16 prompt=20")
    yield made.start()
    made.stop()


@pytest.fixture
def wide_gateway(gpustack_binary, tmp_path):
    """The same with four threads."""
    made = Gateway(gpustack_binary, tmp_path, threads=4)
    made.engine = made.add_engine("chunks=16 prompt=20")
    yield made.start()
    made.stop()


def check_refused(reply, code, message):
    assert reply.status == 429, reply.text
    error = reply.json()["error"]
    assert error["code"] == code and error["message"] == message
    assert error["type"] == ("rate_limit_error" if code == "rate_limit_exceeded" else code)


def check_retry(reply, most_ms):
    wait_ms = int(reply.headers["retry-after-ms"])
    assert 0 < wait_ms <= most_ms
    assert int(reply.headers["retry-after"]) == math.ceil(wait_ms / 1000)
    return wait_ms


def check_records(gateway, *outcomes):
    records = gateway.wait_records(len(outcomes))
    assert sorted(one["outcome"] for one in records) == sorted(outcomes)
    for record in records:
        if record["outcome"] == "limited":
            assert (record["status"], record["attempts"], record["instance_id"]) == (429, 0, 0)
            assert record["prompt_tokens"] == record["completion_tokens"] == 0
    return records


# --- each limit of each subject at N and N + 1 ---------------------------------------------------


@pytest.mark.parametrize("subject", SUBJECTS)
def test_requests_per_minute(gateway, subject):
    gateway.limit(subject, requests_per_minute=3)
    for left in (2, 1, 0):
        reply = gateway.ask()
        assert reply.status == 200
        assert reply.headers["x-ratelimit-limit-requests"] == "3"
        assert reply.headers["x-ratelimit-remaining-requests"] == str(left)
        assert DURATION.match(reply.headers["x-ratelimit-reset-requests"])
        assert "x-ratelimit-limit-tokens" not in reply.headers
        assert "retry-after" not in reply.headers
    reply = gateway.ask()
    check_refused(reply, "rate_limit_exceeded",
                  f"requests_per_minute of this {subject} is 3, and all are taken")
    check_retry(reply, 20000)
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(gateway.engine.log()) == 3
    check_records(gateway, "ok", "ok", "ok", "limited")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_tokens_per_minute(gateway, subject):
    """Two requests use 36 each; the third may need more than what is left of 100."""
    gateway.limit(subject, tokens_per_minute=100)
    for _ in range(2):
        reply = gateway.ask(max_tokens=30)
        assert reply.status == 200
        assert reply.headers["x-ratelimit-limit-tokens"] == "100"
        assert DURATION.match(reply.headers["x-ratelimit-reset-tokens"])
    reply = gateway.ask(max_tokens=30)
    assert reply.status == 429 and reply.json()["error"]["code"] == "rate_limit_exceeded"
    message = reply.json()["error"]["message"]
    assert message.startswith(f"tokens_per_minute of this {subject} is 100: ")
    left, needed = map(int, LEFT.search(message).groups())
    assert 28 <= left < needed and 30 < needed < 60
    assert int(reply.headers["x-ratelimit-remaining-tokens"]) == left
    check_retry(reply, (needed - 28) * 600)
    check_records(gateway, "ok", "ok", "limited")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_concurrent_requests(gateway, subject):
    gateway.limit(subject, concurrent_requests=2)
    streams = [begin_stream(gateway) for _ in range(2)]
    reply = gateway.ask()
    check_refused(reply, "rate_limit_exceeded",
                  f"concurrent_requests of this {subject} is 2, and all are taken")
    assert check_retry(reply, 1000) == 1000
    streams[0].reset()
    gateway.wait_records(2)
    assert gateway.ask().status == 200
    streams[1].close()
    check_records(gateway, "limited", "aborted", "ok", "aborted")


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("period", ["hour", "day", "week", "month", "never"])
def test_token_budget(gateway, subject, period):
    gateway.limit(subject, token_budget=100, budget_period=period)
    for _ in range(2):
        assert gateway.ask(max_tokens=16).status == 200
    reply = gateway.ask(max_tokens=30)
    assert reply.status == 429
    needed = int(LEFT.search(reply.json()["error"]["message"])[2])
    word = "once" if period == "never" else period
    check_refused(reply, "insufficient_quota", f"token_budget of this {subject} is 100 ({word}): "
                  f"28 are left, and the request may need {needed}")
    if period == "never":
        assert "retry-after" not in reply.headers and "retry-after-ms" not in reply.headers
    else:
        hours = {"hour": 1, "day": 24, "week": 168, "month": 31 * 24}[period]
        wait_ms = check_retry(reply, hours * HOUR_MS)
        end_ms = (time.time() * 1000 + wait_ms) / HOUR_MS
        assert abs(end_ms - round(end_ms)) < 0.02, "periods end at full hours"
    check_records(gateway, "ok", "ok", "limited")


def test_headers_in_anthropics_words(gateway):
    gateway.limit("key", requests_per_minute=2, tokens_per_minute=100000)
    gateway.limit("model", requests_per_minute=1000, tokens_per_minute=5000)
    body = {"max_tokens": 30}
    replies = [gateway.post(MESSAGES, messages=[{"role": "user", "content": "Go"}], **body)
               for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    for number, reply in enumerate(replies[:2]):
        told = reply.headers
        assert told["anthropic-ratelimit-requests-limit"] == "2", "the tighter one is told"
        assert told["anthropic-ratelimit-requests-remaining"] == str(1 - number)
        assert told["anthropic-ratelimit-tokens-limit"] == "5000"
        for name in ("requests", "tokens"):
            reset = calendar.timegm(time.strptime(told[f"anthropic-ratelimit-{name}-reset"],
                                                  "%Y-%m-%dT%H:%M:%SZ"))
            assert -5 < reset - time.time() < 61
        assert not any(name.startswith("x-ratelimit") for name in told)
    refused = replies[2].json()
    assert refused["type"] == "error" and refused["error"] == {
        "type": "rate_limit_error",
        "message": "requests_per_minute of this key is 2, and all are taken"}
    assert refused["request_id"] == replies[2].headers["x-request-id"]
    check_retry(replies[2], 30000)


def test_a_refused_request_takes_of_none(gateway):
    """What the key let pass and the model refused is the key's again."""
    gateway.limit("model", concurrent_requests=1)
    gateway.limit("key", token_budget=10000, budget_period="day", tokens_per_minute=10000)
    with begin_stream(gateway, max_tokens=16):
        for _ in range(20):
            assert gateway.ask(max_tokens=5000).status == 429
    gateway.wait_records(21)
    reply = gateway.ask(max_tokens=9000)
    assert reply.status == 200, reply.text


# --- changes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_change_is_in_force_for_the_next_request(gateway, subject):
    for _ in range(3):
        assert gateway.ask().status == 200
    gateway.limit(subject, requests_per_minute=1)
    assert [gateway.ask().status for _ in range(2)] == [200, 429]
    gateway.limit(subject, requests_per_minute=0)
    assert gateway.ask().status == 200
    gateway.limit(subject, concurrent_requests=1)
    with begin_stream(gateway) as stream:
        assert gateway.ask().status == 429
        gateway.limit(subject, concurrent_requests=2)
        assert gateway.ask().status == 200
        gateway.limit(subject, concurrent_requests=1)
        assert gateway.ask().status == 429
        stream.close()
    gateway.wait_records(9)
    gateway.limit(subject, concurrent_requests=0, token_budget=200, budget_period="day")
    assert gateway.ask(max_tokens=250).status == 429
    gateway.limit(subject, token_budget=300)
    assert gateway.ask(max_tokens=250).status == 200


def test_counts_outlive_a_reset_of_the_feed(gateway):
    gateway.limit("key", requests_per_minute=2, token_budget=1000, budget_period="day")
    assert gateway.ask(max_tokens=16).status == 200
    gateway.control.stop()
    wait_for(lambda: gateway.http().get("/readyz").status == 503, what="control is missed")
    gateway.control.start()
    wait_for(gateway.is_ready, what="control is followed")
    assert gateway.ask(max_tokens=16).status == 200
    assert gateway.ask(max_tokens=16).status == 429
    gateway.limit("key", requests_per_minute=0)
    assert gateway.left("key", 1000) == 1000 - 2 * 36


# --- what is reserved and what it becomes --------------------------------------------------------


def begin_stream(gateway, script="chunks=16 prompt=20 stall=chunk:1", **body):
    """A request whose stream has begun and stands still; its client closes it."""
    client = RawClient(gateway.port)
    client.ask("POST", CHAT, {"model": "m", "stream": True, "script": script, **body},
               auth=gateway.key)
    status, _ = client.head()
    assert status == 200, client.body()
    return client


@pytest.mark.parametrize("limits", [{"tokens_per_minute": 1000},
                                    {"token_budget": 1000, "budget_period": "day"}])
@pytest.mark.parametrize("cap", [{"max_tokens": 700}, {"max_completion_tokens": 700},
                                 {"max_tokens": 350, "n": 2}])
def test_the_cap_is_held_until_the_client_leaves(gateway, limits, cap):
    gateway.limit("key", **limits)
    with begin_stream(gateway, **cap):
        reply = gateway.ask(max_tokens=400)
        assert reply.status == 429 and int(LEFT.search(reply.json()["error"]["message"])[1]) < 300
        assert gateway.ask(max_tokens=16).status == 200, "what is left may be used"
    gateway.wait_records(3)
    assert gateway.ask(max_tokens=400).status == 200


def test_without_a_cap_1024_tokens_are_held(gateway):
    gateway.limit("key", token_budget=1100, budget_period="day")
    with begin_stream(gateway):
        reply = gateway.ask(max_tokens=100)
        held = 1100 - int(LEFT.search(reply.json()["error"]["message"])[1])
        assert 1024 < held < 1100
    gateway.wait_records(2)
    assert gateway.ask(max_tokens=100).status == 200


def test_the_prompt_is_estimated_by_its_bytes(gateway):
    """A quarter of its bytes; images in it count for nothing."""
    gateway.limit("key", token_budget=5000, budget_period="day")
    needed = []
    for content in ("Go", "word " * 800, [{"type": "image_url", "image_url": {
            "url": "data:image/png;base64," + "A" * 200000}}]):
        reply = gateway.ask(max_tokens=5000, messages=[{"role": "user", "content": content}])
        message = reply.json()["error"]["message"]
        needed.append(int(re.search(r"may need (\d+)", message)[1]) - 5000)
    assert needed[0] < 30 and 1000 <= needed[1] < 1040 and needed[2] < 100


@pytest.mark.parametrize("limits", [{"tokens_per_minute": 1000},
                                    {"token_budget": 1000, "budget_period": "day"}])
@pytest.mark.parametrize("script, status", [
    ("status=500", 500), ("cut=head", 502), ("status=400", 400), ("garbage=100", 502)])
def test_a_failure_of_the_engine_uses_nothing(gateway, limits, script, status):
    gateway.limit("key", **limits)
    for _ in range(4):
        assert gateway.ask(script, max_tokens=900).status == status
    assert gateway.ask(max_tokens=900).status == 200


def test_more_than_was_reserved_counts_too(gateway):
    """An engine that tells more than the cap: the budget is passed by that, and by no more."""
    gateway.limit("key", token_budget=1000, budget_period="day")
    assert gateway.ask("prompt=900 completion=400", max_tokens=16).status == 200
    reply = gateway.ask(max_tokens=16)
    assert reply.status == 429
    assert " 0 are left" in reply.json()["error"]["message"]


@pytest.mark.parametrize("limits", [{"tokens_per_minute": 500},
                                    {"token_budget": 500, "budget_period": "day"}])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_is_larger_than_a_whole_limit_never_passes(gateway, subject, limits):
    gateway.limit(subject, **limits)
    reply = gateway.ask(max_tokens=600)
    name = next(iter(limits))
    needed = int(re.search(r"may need (\d+)", reply.json()["error"]["message"])[1])
    check_refused(reply, "insufficient_quota", f"{name} of this {subject} is 500, and the request "
                  f"may need {needed}: it can never pass; ask for fewer tokens")
    assert "retry-after" not in reply.headers and "retry-after-ms" not in reply.headers
    assert gateway.ask(max_tokens=400).status == 200


def test_another_attempt_takes_no_more_of_the_models_limits(gateway):
    """One request is one, whoever has to be asked for it."""
    gateway.engine.kill()
    other = gateway.add_engine("chunks=16 prompt=20")
    gateway.limit("model", requests_per_minute=1000, concurrent_requests=1)
    for number in range(4):
        reply = gateway.ask()
        assert reply.status == 200, reply.text
        assert reply.headers["x-ratelimit-remaining-requests"] == str(999 - number)
    assert sum(one["attempts"] for one in gateway.wait_records(4)) > 4
    assert len(other.log()) == 4


def test_another_attempt_is_made_for_the_last_request_of_a_minute(gateway):
    """Of three instances two are dead: some request must meet one of them first."""
    gateway.engine.kill()
    dead = scripted.ScriptedEngine().start()
    dead.kill()
    gateway.add_endpoint(dead.port)
    gateway.add_engine("chunks=16 prompt=20")
    gateway.limit("model", requests_per_minute=3)
    assert [gateway.ask().status for _ in range(4)] == [200, 200, 200, 429]
    assert sum(one["attempts"] for one in gateway.wait_records(4)) > 3


# --- many at once --------------------------------------------------------------------------------


def at_once(count, ask):
    """Calls ask() in `count` threads, all let go together; returns what they returned."""
    gate, results = threading.Barrier(count), []

    def run():
        gate.wait()
        results.append(ask())

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == count
    return results


def open_stream(gateway, **body):
    """(client, status) of a stream that stands still."""
    client = RawClient(gateway.port, timeout=30)
    client.ask("POST", CHAT, {"model": "m", "stream": True, "script": "stall=chunk:1", **body},
               auth=gateway.key)
    return client, client.head()[0]


@pytest.mark.parametrize("limits, passes", [
    ({"concurrent_requests": 7}, 7), ({"requests_per_minute": 5}, 5),
    ({"token_budget": 6 * 200, "budget_period": "day"}, 6), ({"tokens_per_minute": 6 * 200}, 6)])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_exactly_as_many_pass_on_four_threads(wide_gateway, subject, limits, passes):
    """Each needs 175 to 200 tokens."""
    gateway = wide_gateway
    gateway.limit(subject, **limits)
    settle(gateway)
    streams = at_once(32, lambda: open_stream(gateway, max_tokens=175))
    statuses = [status for _, status in streams]
    assert statuses.count(200) == passes and statuses.count(429) == 32 - passes
    for client, _ in streams:
        client.reset()
    if subject == "key":
        check_records(gateway, *["aborted"] * passes, *["limited"] * (32 - passes))
    elif "concurrent_requests" in limits:
        gateway.engine.wait_idle()
        streams = at_once(32, lambda: open_stream(gateway))
        assert [status for _, status in streams].count(200) == passes


def settle(gateway):
    """Until all threads follow the feed: each has a connection of its own to ask on."""
    name = f"model-{gateway.next_id()}"
    gateway.put("model", name=name)
    gateway.put("endpoint", name=name, model_id=gateway.model_id(name), local_port=1,
                netns_id=scripted.netns_id())
    wait_for(lambda: all(name in gateway.client().get("/v1/models").text for _ in range(40)),
             what="all threads follow")


# --- budgets: control's figure, own records, restarts ---------------------------------------------


@pytest.mark.parametrize("subject", SUBJECTS)
def test_records_count_once_before_and_after_control_has_them(gateway, subject):
    gateway.limit(subject, token_budget=10000, budget_period="day")
    gateway.spent(subject, 3000)
    assert gateway.left(subject, 10000) == 7000
    for _ in range(5):
        assert gateway.ask(max_tokens=16).status == 200
    assert gateway.left(subject, 10000) == 7000 - 180
    records = gateway.wait_records(7)
    last = max(record["seq"] for record in records if record["outcome"] == "ok")
    gateway.spent(subject, 3180, gateway.uuid, last)
    assert gateway.left(subject, 10000) == 7000 - 180, "what control has isn't counted twice"
    gateway.spent(subject, 3180 + 500)
    assert gateway.left(subject, 10000) == 7000 - 680, "what others used"
    assert gateway.ask(max_tokens=16).status == 200
    assert gateway.left(subject, 10000) == 7000 - 680 - 36
    gateway.limit(subject, token_budget=20000)
    assert gateway.left(subject, 20000) == 17000 - 680 - 36


@pytest.mark.parametrize("has_line", [True, False])
def test_a_restart_forgets_nothing_of_a_budget(gateway, has_line):
    """Control takes no records meanwhile: they are on the gateway's disk only."""
    gateway.control.usage_status = 503
    gateway.limit("user", token_budget=10000, budget_period="day")
    if has_line:
        gateway.spent("user", 1000)
    for _ in range(3):
        assert gateway.ask(max_tokens=16).status == 200
    used = 3 * 36 + 1000 * has_line
    assert gateway.left("user", 10000) == 10000 - used
    gateway.wait_on_disk(3)
    gateway.kill()
    gateway.start()
    assert gateway.left("user", 10000) == 10000 - used
    gateway.control.usage_status = 200
    records = gateway.wait_records(4)
    last = max(record["seq"] for record in records)
    gateway.spent("user", used, gateway.uuid, last)
    assert gateway.left("user", 10000) == 10000 - used
    gateway.kill()
    gateway.start()
    assert gateway.left("user", 10000) == 10000 - used


def test_a_restart_without_control_forgets_nothing_of_a_budget(gateway):
    gateway.limit("key", token_budget=10000, budget_period="day")
    gateway.spent("key", 1000)
    assert gateway.ask(max_tokens=16).status == 200
    gateway.wait_records(1)
    gateway.spent("key", 1036, gateway.uuid, 1)
    assert gateway.left("key", 10000) == 8964
    gateway.control.stop()
    assert gateway.ask(max_tokens=16).status == 200
    gateway.wait_on_disk(3)
    gateway.kill()
    gateway.start(alone=True)
    assert gateway.left("key", 10000) == 8928
    gateway.control.start()


def test_a_budget_begins_anew_with_its_period(gpustack_binary, tmp_path):
    """The hour turns while a request runs: what it holds belongs to the hour before."""
    (library,) = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    clock = tmp_path / "clock"
    clock.write_text("@2031-05-06 10:59:58")
    gateway = Gateway(gpustack_binary, tmp_path, env={
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"})
    try:
        clock.write_text("2031-05-06 10:59:30")
        gateway.add_engine("chunks=16 prompt=20")
        gateway.start()
        gateway.limit("user", token_budget=1000, budget_period="hour")
        old = begin_stream(gateway, max_tokens=900)
        reply = gateway.ask(max_tokens=100)
        check_retry(reply, 31000)
        clock.write_text("2031-05-06 11:00:01")
        assert gateway.ask(max_tokens=900).status == 200
        left = gateway.left("user", 1000)
        assert left == 1000 - 36
        old.reset()
        gateway.wait_records(4)
        assert gateway.left("user", 1000) == left, "the old hour's tokens are the old hour's"
        hour = calendar.timegm((2031, 5, 6, 10, 0, 0)) * 1000
        gateway.spent("user", 999, gateway.uuid, 9, start_ms=hour)
        assert gateway.left("user", 1000) == left, "a late figure of the old hour"
        gateway.spent("user", 500, gateway.uuid, 9, start_ms=hour + HOUR_MS)
        assert gateway.left("user", 1000) == 500
    finally:
        gateway.stop()


# --- on a cluster --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(gpustack_binary, demo_model, tmp_path_factory):
    """A cluster with scripted engines and two gateways."""
    folder = tmp_path_factory.mktemp("site")
    engines = scripted.install_engine(folder / "engines", "chunks=16 prompt=20")
    cluster = harness.Cluster(gpustack_binary, engines, folder)
    try:
        cluster.start()
        cluster.deploy("hello", demo_model)
        cluster.second = scripted.SecondGateway(cluster, folder)
        yield cluster
        cluster.second.stop()
    finally:
        cluster.stop()


def cli(cluster, *args):
    done = subprocess.run([cluster.binary, *args], capture_output=True, text=True, timeout=20,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent",
                               "GPUSTACK_SERVER_URL": cluster.url,
                               "GPUSTACK_API_KEY": cluster.api_key()})
    assert done.returncode == 0, done.stderr
    return done.stdout


def chat(client, **body):
    return client.post(CHAT, {"model": "hello", "messages": [{"role": "user", "content": "Go"}],
                              **body})


def clients(cluster, key):
    """Requests with a key on both gateways, which know it."""
    both = [cluster.http(key), cluster.second.http(key)]
    for client in both:
        wait_for(lambda: client.get("/v1/models").status == 200, what="the gateway knows the key")
    return both


def test_limits_by_command_and_api(site):
    text = cli(site, "keys", "create", "narrow", "--requests-per-minute", "2",
               "--concurrent-requests", "5")
    key = re.search(r"gpustack_\w+", text)[0]
    for client in clients(site, key):
        replies = [chat(client) for _ in range(3)]
        assert [reply.status for reply in replies] == [200, 200, 429], "each counts for itself"
        assert replies[2].json()["error"]["message"] == \
            "requests_per_minute of this key is 2, and all are taken"
    cli(site, "keys", "update", "narrow", "--requests-per-minute", "0")
    for client in clients(site, key):
        wait_for(lambda: chat(client).status == 200, what="the limit is gone")
    row = next(item for item in site.items("/v2/api-keys") if item["name"] == "narrow")
    assert row["requests_per_minute"] is None and row["concurrent_requests"] == 5
    site.admin.put(f"/v2/api-keys/{row['id']}", {"tokens_per_minute": 10}).expect(200)
    for client in clients(site, key):
        wait_for(lambda: chat(client, max_tokens=16).status == 429, what="the limit is in force")
        assert chat(client, max_tokens=16).json()["error"]["code"] == "insufficient_quota"


def test_limits_of_users_and_models_by_api(site):
    user = site.admin.post("/v2/users", {"username": "grace", "password": harness.STRONG,
                                         "requests_per_minute": 1}).expect(200)
    key = site.make_key({"name": "hers"}, site.http(harness.basic_auth("grace", harness.STRONG)))
    both = clients(site, key)
    for client in both:
        assert [chat(client).status for _ in range(2)] == [200, 429]
    site.admin.put(f"/v2/users/{user['id']}", {"requests_per_minute": 0}).expect(200)
    model = site.model("hello")
    site.admin.put(f"/v2/models/{model['id']}", {"token_budget": 1,
                                                 "budget_period": "month"}).expect(200)
    for client in both:
        wait_for(lambda: "of this model is 1, and the request may need" in chat(client).text,
                 what="the model's limit is in force")
    site.admin.put(f"/v2/models/{model['id']}", {"token_budget": 0}).expect(200)
    for client in both:
        wait_for(lambda: chat(client).status == 200, what="the model's limit is gone")


def use_up(*both):
    """Asks until each is refused ten times in a row: another thread may hear of a request's end a
    moment after its client. Returns the last reply."""
    for client in both:
        row = 0
        while row < 10:
            reply = chat(client, max_tokens=100)
            row = row + 1 if reply.status == 429 else 0
    return reply


def test_a_budget_is_one_for_all_gateways(site):
    """Used up on one, refused on both; raised, it passes on both; control and gateways may be
    killed in between."""
    text = cli(site, "keys", "create", "budget", "--token-budget", "1000", "--budget-period",
               "month")
    key = re.search(r"gpustack_\w+", text)[0]
    first, second = clients(site, key)
    used = 1000 - int(LEFT.search(use_up(first).json()["error"]["message"])[1])
    assert used == 25 * 36
    wait_for(lambda: chat(second, max_tokens=100).status == 429, what="the other one knows")
    use_up(second)
    for role in ("control", "gateway"):
        site.kill(role)
    wait_for(lambda: chat(first, max_tokens=100).status == 429, what="the gateway is back")
    wait_for(lambda: site.admin.get("/v2/models").status == 200, what="control is back")
    assert chat(second, max_tokens=100).status == 429
    cli(site, "keys", "update", "budget", "--token-budget", "2000")
    for client in (first, second):
        wait_for(lambda: chat(client, max_tokens=100).status == 200, what="it was raised")
    use_up(second)
    wait_for(lambda: chat(first, max_tokens=100).status == 429, what="the first one knows")

    def spent():
        row = next(item for item in site.items("/v2/api-keys") if item["name"] == "budget")
        summary = site.admin.get(f"/v2/usage?key_ids={row['id']}").expect(200)["summary"]
        return summary["total_tokens"] if summary["total_tokens"] > 1800 else 0

    # What the first one used last the second may not have known.
    assert wait_for(spent, what="control has all records") <= 2000 + 2 * 36
