# SPDX-License-Identifier: Apache-2.0
"""What budgets have used up, as control tells gateways: exact, whatever comes when. Periods are
months, whose end a test is unlikely to meet."""

import datetime
import json
import threading

import pytest

from harness import wait_for
from test_usage import DAY, GATEWAYS, TOKEN, Server, make_record


@pytest.fixture
def server(gpustack_binary, tmp_path):
    role = Server(gpustack_binary, tmp_path)
    role.start()
    yield role
    role.kill()


class Feed(threading.Thread):
    """Follows the feed; keeps the spending lines of the snapshot and the last of each subject."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.connection, self.response = server.client(TOKEN).open("GET", "/v2/gateway-feed")
        self.snapshot, self.last, self.seqs = [], {}, []
        self.is_ready = threading.Event()
        self.start()

    def run(self):
        try:
            for line in self.response:
                if line.strip():
                    self.take(json.loads(line))
        except (OSError, ValueError, AttributeError):
            pass  # it was closed, or control was killed

    def take(self, line):
        self.seqs.append(line["seq"])
        if line["op"] == "ready":
            self.is_ready.set()
        if line.get("kind") != "spending":
            return
        if not self.is_ready.is_set():
            self.snapshot.append(line)
        self.last[line["subject"], line["id"]] = line

    def tokens(self, subject, number):
        line = self.last.get((subject, number))
        return line and line["tokens"]

    def __enter__(self):
        assert self.is_ready.wait(10)
        return self

    def __exit__(self, *_):
        self.connection.close()


def month_start():
    now = datetime.datetime.now(datetime.timezone.utc)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(first.timestamp() * 1000)


def set_budget(server, number, period, budget=1000):
    server.admin.put(f"/v2/users/{number}", {
        "token_budget": budget, "budget_period": period}).expect(200)


def test_lines_after_batches_and_in_snapshots(server):
    ann, client, key = server.make_user("ann")
    set_budget(server, ann, "month")
    client.put(f"/v2/api-keys/{key}", {"token_budget": 5, "budget_period": "never"}).expect(200)
    with Feed(server) as feed:
        assert feed.snapshot == [], "no gateway is known yet"
        server.send(GATEWAYS[0], [make_record(1, user_id=ann, key_id=key),
                                  make_record(2, user_id=ann),
                                  make_record(3, user_id=ann, started_ms=month_start() - 1),
                                  make_record(4, user_id=77)]).expect(200)
        wait_for(lambda: feed.tokens("user", ann) == 30, what="two requests of this month")
        wait_for(lambda: feed.tokens("key", key) == 15, what="one by the key")
        line = feed.last["user", ann]
        assert (line["gateway"], line["applied"]) == (GATEWAYS[0], 4)
        assert line["period_start_ms"] == month_start()
        assert feed.last["key", key]["period_start_ms"] == 0
        server.send(GATEWAYS[0], [make_record(4, user_id=ann)]).expect(200)  # is known already
        server.send(GATEWAYS[1], [make_record(1, user_id=ann)]).expect(200)
        wait_for(lambda: feed.tokens("user", ann) == 45, what="another gateway's")
        assert feed.seqs == sorted(feed.seqs)
    want = {("user", ann, GATEWAYS[0], 45, 4), ("user", ann, GATEWAYS[1], 45, 1),
            ("key", key, GATEWAYS[0], 15, 4), ("key", key, GATEWAYS[1], 15, 1)}
    for _ in range(2):  # the second time loaded from the store
        with Feed(server) as feed:
            seen = [(line["subject"], line["id"], line["gateway"], line["tokens"], line["applied"])
                    for line in feed.snapshot]
            assert set(seen) == want and len(seen) == 4
        server.restart()


def test_periods_of_a_budget_that_changes(server):
    ann = server.make_user("ann")[0]
    start = month_start()
    server.send(GATEWAYS[0], [
        make_record(1, user_id=ann), make_record(2, user_id=ann, started_ms=start),
        make_record(3, user_id=ann, started_ms=start - 1),
        make_record(4, user_id=ann, started_ms=start - 40 * DAY)]).expect(200)
    with Feed(server) as feed:
        for period, tokens in (("month", 30), ("never", 60), ("month", 30), ("never", 60)):
            set_budget(server, ann, period)
            wait_for(lambda: feed.tokens("user", ann) == tokens, what=f"tokens by {period}")
            assert feed.last["user", ann]["period_start_ms"] == (period == "month") * start
        set_budget(server, ann, "never", 0)
        server.send(GATEWAYS[0], [make_record(5, user_id=ann)]).expect(200)
        set_budget(server, ann, "never")
        wait_for(lambda: feed.tokens("user", ann) == 75, what="what came without a budget")


def test_a_budget_is_set_amid_batches(server):
    """Each load stands at its place among the batches: nothing is missed, nothing counted twice."""
    ann = server.make_user("ann")[0]
    count = 3000
    done = threading.Event()

    def send():
        for first in range(1, count + 1, 20):
            records = [make_record(seq, user_id=ann) for seq in range(first, first + 20)]
            server.send(GATEWAYS[0], records).expect(200)
        done.set()

    sender = threading.Thread(target=send)
    with Feed(server) as feed:
        sender.start()
        period = "never"
        while not done.is_set():
            set_budget(server, ann, period)
            period = "month" if period == "never" else "never"
        sender.join()
        set_budget(server, ann, "never")
        server.send(GATEWAYS[0], [make_record(count + 1, user_id=ann)]).expect(200)
        wait_for(lambda: feed.tokens("user", ann) == (count + 1) * 15, what="the exact sum")
        assert feed.last["user", ann]["applied"] == count + 1
