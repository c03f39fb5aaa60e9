# SPDX-License-Identifier: Apache-2.0
"""Usage on control's side: batches as gateways send them, counted once whatever ends in between;
sums, records, CSV, who sees what, the command."""

import csv
import datetime
import http.client
import io
import json
import random
import sqlite3
import subprocess
import threading

import pytest

from control_role import Control
from harness import STRONG, UnixHttp, basic_auth, wait_for

TOKEN = "cluster-token-of-this-test"
GATEWAYS = ["6f1c3f0e-3c55-4d52-9c50-7f3f4d0f6a11", "0b9d5f3c-91b5-4c3e-8a53-aa4a3f1a2b01"]
DAY = 24 * 3600 * 1000
MANY = 10030  # rows, more than USAGE_ROWS_MAX
ROUNDS = 6  # kills while batches are on their way
OPERATIONS = ["chat", "embeddings", "messages"]
OUTCOMES = ["ok", "ok", "ok", "aborted", "engine_error", "limited"]


def now_ms():
    return int(datetime.datetime.now(datetime.timezone.utc).timestamp() * 1000)


def iso(ms):
    text = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat()
    return text.replace("+00:00", "Z")


def make_record(seq, **fields):
    return {"seq": seq, "request_id": f"req_{seq}", "user_id": 1, "key_id": 0, "model_id": 7,
            "model": "hello", "route": "hello", "instance_id": 3, "operation": "chat",
            "outcome": "ok", "status": 200, "aborted_phase": None, "is_stream": True,
            "is_estimated": False, "prompt_tokens": 10, "cached_tokens": 2,
            "completion_tokens": 5, "request_bytes": 100, "response_bytes": 200,
            "started_ms": now_ms(), "queue_us": 1, "first_byte_us": 1000, "total_us": 9000,
            "attempts": 1, **fields}


def random_record(seq, rng):
    return make_record(
        seq, user_id=rng.randint(1, 4), key_id=rng.randint(0, 5), model_id=rng.randint(1, 3),
        model=f"m{rng.randint(1, 3)}", route=rng.choice(["gpt-4", "hello"]),
        operation=rng.choice(OPERATIONS), outcome=rng.choice(OUTCOMES),
        prompt_tokens=rng.randint(0, 9999), completion_tokens=rng.randint(0, 999),
        started_ms=now_ms() - rng.randint(0, 5 * DAY), total_us=rng.randint(0, 10 ** 7))


class Server(Control):
    """A control with what the tests do to it."""

    def __init__(self, binary, folder, *args):
        super().__init__(binary, folder)
        self.command += ["--token", TOKEN, *args]
        self.binary = binary

    def client(self, auth):
        client = UnixHttp(self.folder / "run/control.sock", timeout=10)
        client.headers["Authorization"] = auth if " " in auth else f"Bearer {auth}"
        return client

    def send(self, gateway, records):
        body = {"gateway": gateway, "records": records}
        return self.client(TOKEN).post("/v2/usage-records", body)

    def restart(self):
        self.kill()
        self.start()

    def summary(self, query=""):
        return self.admin.get(f"/v2/usage?{query}").expect(200)["summary"]

    def items(self, query):
        return self.admin.get(f"/v2/usage?{query}").expect(200)["items"]

    def make_user(self, name):
        """Id of a fresh user, requests with a key of theirs, and that key's id."""
        number = self.admin.post("/v2/users", {"username": name, "password": STRONG}).expect(200)
        key = self.client(basic_auth(name, STRONG)).post(
            "/v2/api-keys", {"name": "laptop"}).expect(200)
        return number["id"], self.client(key["value"]), key["id"]

    def cli(self, *args, stdout=subprocess.PIPE):
        return subprocess.run(
            [str(self.binary), "usage", "--server-url", f"unix:{self.folder}/run/admin.sock",
             *args], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=20,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder)})


@pytest.fixture
def server(gpustack_binary, tmp_path):
    role = Server(gpustack_binary, tmp_path)
    role.start()
    yield role
    role.kill()


@pytest.fixture(scope="module")
def filled(gpustack_binary, tmp_path_factory):
    """One with 3000 random records; tests of it change nothing."""
    role = Server(gpustack_binary, tmp_path_factory.mktemp("usage"))
    role.start()
    rng = random.Random(5)
    role.records = [random_record(seq, rng) for seq in range(1, 3001)]
    for first in range(0, 3000, 1000):
        applied = role.send(GATEWAYS[0], role.records[first:first + 1000]).expect(200)
        assert applied == {"applied": first + 1000}
    yield role
    role.kill()


@pytest.fixture(scope="module")
def many(gpustack_binary, tmp_path_factory):
    """One with more rows, by key, than one answer may have; tests of it change nothing."""
    role = Server(gpustack_binary, tmp_path_factory.mktemp("many"))
    role.start()
    role.keys = [(seq * 7919) % MANY for seq in range(1, MANY + 1)]  # each once, in no order
    records = [make_record(seq, key_id=key, route=f"r{key % 3}", completion_tokens=key % 50)
               for seq, key in enumerate(role.keys, 1)]
    for first in range(0, MANY, 1000):
        role.send(GATEWAYS[0], records[first:first + 1000]).expect(200)
    yield role
    role.kill()


def tokens(records):
    return sum(one["prompt_tokens"] + one["completion_tokens"] for one in records)


# --- counted once --------------------------------------------------------------------------------


def test_doubled_and_overlapping_batches_count_once(server):
    records = [make_record(seq) for seq in range(1, 31)]
    assert server.send(GATEWAYS[0], records[:10]).expect(200) == {"applied": 10}
    assert server.send(GATEWAYS[0], records[:10]).expect(200) == {"applied": 10}
    assert server.send(GATEWAYS[0], records[5:20]).expect(200) == {"applied": 20}
    assert server.send(GATEWAYS[0], []).expect(200) == {"applied": 20}
    assert server.send(GATEWAYS[1], records[:3]).expect(200) == {"applied": 3}
    assert server.send(GATEWAYS[1], []).expect(200) == {"applied": 3}
    server.restart()
    assert server.send(GATEWAYS[0], records).expect(200) == {"applied": 30}
    seen = server.summary()
    assert seen["requests"] == 33 and seen["total_tokens"] == 33 * 15
    assert seen["total_us"] == 33 * 9000 and seen["first_bytes"] == 33
    assert len(server.admin.get("/v2/usage/records").expect(200)["items"]) == 33


class Sender(threading.Thread):
    """A gateway: sends its records in batches, each again until it is acknowledged, and every now
    and then a batch that was."""

    def __init__(self, server, gateway, records, seed):
        super().__init__(daemon=True)
        self.server, self.gateway, self.records = server, gateway, records
        self.rng = random.Random(seed)
        self.applied = 0
        self.error = None

    def run(self):
        try:
            while self.applied < len(self.records):
                self.step()
        except Exception as error:  # told by the test
            self.error = error

    def step(self):
        first = max(0, self.applied - self.rng.choice([0, 0, 7]))
        batch = self.records[first:first + self.rng.randint(8, 60)]
        try:
            reply = self.server.send(self.gateway, batch)
        except (OSError, http.client.HTTPException):
            return  # control was killed: once more
        self.applied = reply.expect(200)["applied"]


def test_kill_control_between_and_during_batches(server):
    """Sums are exact, whatever was under way when it was killed, with two gateways at once."""
    rng = random.Random(7)
    senders = [Sender(server, gateway, [random_record(seq, rng) for seq in range(1, 4001)], seed)
               for seed, gateway in enumerate(GATEWAYS)]
    for sender in senders:
        sender.start()
    for number in range(ROUNDS):
        goal = (number + 1) * 500
        wait_for(lambda: all(one.applied >= goal or one.error for one in senders), 30,
                 "batches are acknowledged")
        server.restart()
    for sender in senders:
        sender.join(60)
        assert not sender.error and sender.applied == 4000, sender.error
    everything = [record for sender in senders for record in sender.records]
    seen = server.summary()
    assert seen["requests"] == len(everything)
    assert seen["total_tokens"] == tokens(everything)
    for by, key in (("model", "model"), ("user", "user_id"), ("operation", "operation")):
        rows = server.items(f"group_by={by}")
        name = "user_id" if by == "user" else by
        for value in {row[name] for row in rows}:
            got = sum(row["total_tokens"] for row in rows if row[name] == value)
            assert got == tokens(one for one in everything if one[key] == value)
    server.kill()
    check_database(server, everything)


def check_database(server, everything):
    """Every record is there once, and sums by hour and day are those of the records."""
    database = sqlite3.connect(server.folder / "database.db")
    try:
        rows = database.execute("SELECT w.uuid, r.seq, r.prompt_tokens FROM usage_records r"
                                " JOIN usage_gateways w ON w.id = gateway_id").fetchall()
        assert len(rows) == len(set(row[:2] for row in rows)) == len(everything)
        assert sum(row[2] for row in rows) == sum(one["prompt_tokens"] for one in everything)
        for table, step in (("usage_hours", DAY // 24), ("usage_days", DAY)):
            sums = database.execute(
                f"SELECT starts_at, group_id, requests, completion_tokens FROM {table}").fetchall()
            raw = database.execute(
                f"SELECT started_at / {step} * {step}, group_id, COUNT(*), SUM(completion_tokens)"
                " FROM usage_records GROUP BY 1, 2").fetchall()
            assert sorted(sums) == sorted(raw)
    finally:
        database.close()


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("member,value", [
    ("seq", 0), ("seq", "1"), ("seq", None), ("request_id", ""), ("request_id", "x" * 129),
    ("model", 7), ("model_id", 0), ("user_id", -1), ("operation", "dance"), ("outcome", None),
    ("status", 1000), ("aborted_phase", "sleeping"), ("is_stream", 1), ("prompt_tokens", 1.5),
    ("prompt_tokens", 2 ** 62), ("started_ms", -1), ("total_us", "9")])
def test_a_wrong_record_is_named_and_nothing_is_taken(server, member, value):
    good = [make_record(seq) for seq in (1, 2)]
    reply = server.send(GATEWAYS[0], [*good, {**make_record(3), member: value}])
    assert reply.status == 400
    assert f"records[2].{member}: must be" in reply.json()["message"]
    assert server.summary()["requests"] == 0
    assert server.send(GATEWAYS[0], good).expect(200) == {"applied": 2}


def test_wrong_batches(server):
    records = [make_record(seq) for seq in range(1, 1002)]
    for gateway, batch, word in ((GATEWAYS[0], records, "at most 1000, not 1001"),
                                 (GATEWAYS[0], {}, "records: must be a list"),
                                 (GATEWAYS[0], [7], "records[0]: must be an object"),
                                 (GATEWAYS[0], [records[1], records[1]], "seq: must be above 2"),
                                 ("../../etc", records[:1], "gateway: must be a uuid"),
                                 (None, records[:1], "gateway: must be a uuid")):
        reply = server.send(gateway, batch)
        assert reply.status == 400 and word in reply.json()["message"], reply.text
    missing = make_record(1)
    del missing["attempts"]
    assert "records[0].attempts" in server.send(GATEWAYS[0], [missing]).json()["message"]
    assert server.send(GATEWAYS[0], [make_record(1, wings=2)]).status == 200, "unknown members"
    large = [make_record(2, padding="x" * (9 << 20))]
    assert server.send(GATEWAYS[0], large).status == 413
    full = [make_record(seq, model="m" * 256, route="r" * 256, request_id="i" * 128)
            for seq in range(2, 1002)]
    assert len(json.dumps(full)) > 1 << 20
    assert server.send(GATEWAYS[0], full).expect(200) == {"applied": 1001}, "as large as it can be"
    assert server.client("nonsense").post("/v2/usage-records", {}).status == 401


# --- sums ----------------------------------------------------------------------------------------


def group(records, key):
    found = {}
    for one in records:
        found.setdefault(key(one), []).append(one)
    return found


@pytest.mark.parametrize("by,key,column", [
    ("model", lambda r: (r["model_id"], r["model"]), lambda i: (i["model_id"], i["model"])),
    ("route", lambda r: r["route"], lambda i: i["route"]),
    ("user", lambda r: r["user_id"], lambda i: i["user_id"]),
    ("key", lambda r: r["key_id"], lambda i: i["key_id"]),
    ("operation", lambda r: r["operation"], lambda i: i["operation"]),
    ("day", lambda r: r["started_ms"] // DAY, lambda i: day_number(i["day"])),
    ("user,operation", lambda r: (r["user_id"], r["operation"]),
     lambda i: (i["user_id"], i["operation"]))])
def test_sums_by(filled, by, key, column):
    want = group(filled.records, key)
    got = {column(item): item for item in filled.items(f"group_by={by}")}
    assert got.keys() == want.keys()
    for name, records in want.items():
        assert got[name]["requests"] == len(records)
        assert got[name]["total_tokens"] == tokens(records)
        assert got[name]["errors"] == sum(one["outcome"] in ("engine_error", "limited")
                                          for one in records)
        assert got[name]["models"] == len({one["model_id"] for one in records})


def day_number(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) // 86400


def test_filters(filled):
    for query, passes in (
            ("user_ids=1,3", lambda r: r["user_id"] in (1, 3)),
            ("key_ids=0", lambda r: r["key_id"] == 0),
            ("model_ids=2&operation=chat,messages",
             lambda r: r["model_id"] == 2 and r["operation"] in ("chat", "messages")),
            ("route=gpt-4", lambda r: r["route"] == "gpt-4"),
            ("route=o'hara", lambda r: False)):
        want = [one for one in filled.records if passes(one)]
        seen = filled.summary(query)
        assert (seen["requests"], seen["total_tokens"]) == (len(want), tokens(want)), query


def test_times_are_rounded_to_hours(filled):
    start = now_ms() - 3 * DAY
    end = start + DAY + 1
    hour = DAY // 24
    want = [one for one in filled.records
            if start // hour * hour <= one["started_ms"] < (end // hour + 1) * hour]
    reply = filled.admin.get(f"/v2/usage?start={iso(start)}&end={iso(end)}").expect(200)
    assert reply["summary"]["requests"] == len(want) > 0
    assert reply["start"].endswith(":00:00.000Z") and reply["end"].endswith(":00:00.000Z")
    date = iso(start)[:10]
    from_midnight = [one for one in filled.records if one["started_ms"] >= start // DAY * DAY]
    assert filled.summary(f"start={date}")["requests"] == len(from_midnight)


def test_order_and_pages(filled):
    whole = filled.items("group_by=key,operation&sort_by=-requests")
    counts = [item["requests"] for item in whole]
    assert counts == sorted(counts, reverse=True)
    pages = [filled.admin.get(
        f"/v2/usage?group_by=key,operation&sort_by=-requests&perPage=7&page={page}").expect(200)
             for page in (1, 2, 3)]
    assert [item for page in pages for item in page["items"]] == whole
    assert pages[0]["pagination"] == {"page": 1, "perPage": 7, "total": 18, "totalPage": 3}
    assert all(page["summary"]["requests"] == 3000 for page in pages)
    ascending = filled.items("group_by=operation&sort_by=operation")
    assert [item["operation"] for item in ascending] == sorted(OPERATIONS)


@pytest.mark.parametrize("query,word", [
    ("start=yesterday", "start must be a date"), ("start=2026-02-30", "start must be a date"),
    ("start=2026-01-02&end=2026-01-01", "start must be before end"),
    ("end=2020-01-01", "name a start before end"),
    ("group_by=planet", "group_by must be some of hour, day"),
    ("group_by=day,hour", "group_by must be by one of"), ("model_ids=x", "model_ids must be ids"),
    ("user_ids=" + "1," * 101, "at most 100 ids"), ("operation=dance", "operation must be some of"),
    ("sort_by=beauty", "sort_by"), ("perPage=10001", "perPage"), ("format=xml", "format"),
    ("format=csv&perPage=10001", "perPage"),
    ("modelids=3", "modelids: is no parameter here")])
def test_wrong_questions(filled, query, word):
    reply = filled.admin.get(f"/v2/usage?{query}")
    assert reply.status == 422 and word in reply.json()["message"], reply.text


def test_csv_of_sums(filled):
    for query, headers in (("group_by=day,model&format=csv", {}),
                           ("group_by=day,model", {"Accept": "text/csv"})):
        reply = filled.admin.get(f"/v2/usage?{query}", headers=headers)
        assert reply.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(reply.expect(200))))
        items = filled.items("group_by=day,model&perPage=10000")
        assert [(row["day"], row["model"], row["total_tokens"]) for row in rows] == \
            [(item["day"], item["model"], str(item["total_tokens"])) for item in items]


def csv_rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_of_sums_is_all_of_them(many):
    """In the order of what they are split by; an order of its own can't be told page by page."""
    rows = csv_rows(many.admin.get("/v2/usage?group_by=key,route&format=csv").expect(200))
    assert [(row["route"], int(row["key_id"])) for row in rows] == \
        sorted((f"r{key % 3}", key) for key in many.keys)
    assert sum(int(row["completion_tokens"]) for row in rows) == sum(k % 50 for k in many.keys)
    reply = many.admin.get("/v2/usage?group_by=key&format=csv&sort_by=-requests")
    assert reply.status == 422 and f"at most 10000 rows, not {MANY}" in reply.json()["message"]
    for query, count in (("group_by=key&sort_by=key&perPage=9", 9), ("group_by=key&page=2", 30),
                         ("group_by=route&sort_by=-requests", 3), ("", 1)):
        rows = csv_rows(many.admin.get(f"/v2/usage?{query}&format=csv").expect(200))
        assert len(rows) == count, query


def test_a_client_that_leaves_an_export_of_sums(many):
    for _ in range(5):
        connection, _ = many.admin.open("GET", "/v2/usage?group_by=key&format=csv")
        connection.close()
    assert many.summary()["requests"] == MANY


def test_limits_of_records(many):
    """JSON has pages, CSV has what was asked for."""
    reply = many.admin.get("/v2/usage/records?limit=10001")
    assert reply.status == 422 and "1-10000" in reply.json()["message"]
    for limit in (10001, 2 ** 53):
        text = many.admin.get(f"/v2/usage/records?format=csv&limit={limit}").expect(200)
        assert len(csv_rows(text)) == min(limit, MANY)
    reply = many.admin.get(f"/v2/usage/records?format=csv&limit={2 ** 53 + 1}")
    assert reply.status == 422 and "limit" in reply.json()["message"]


# --- single records ------------------------------------------------------------------------------


def test_records_by_cursor(filled):
    seen, cursor = [], ""
    while cursor is not None:
        page = filled.admin.get(f"/v2/usage/records?limit=999&cursor={cursor}").expect(200)
        seen += page["items"]
        cursor = page["next_cursor"]
    assert len(seen) == 3000 and {item["seq"] for item in seen} == set(range(1, 3001))
    times = [item["started_at"] for item in seen]
    assert times == sorted(times, reverse=True)
    want = {one["seq"]: one for one in filled.records}
    for item in seen[:50]:
        one = want[item["seq"]]
        assert {key: item[key] for key in one if key != "started_ms"} == \
            {key: one[key] for key in one if key != "started_ms"}
        assert item["gateway"] == GATEWAYS[0]


def test_records_that_are_looked_for(filled):
    (one,) = filled.admin.get("/v2/usage/records?request_id=req_1234").expect(200)["items"]
    assert one["seq"] == 1234
    for query, passes in (("outcome=aborted,limited",
                           lambda r: r["outcome"] in ("aborted", "limited")),
                          ("user_ids=2&operation=chat",
                           lambda r: r["user_id"] == 2 and r["operation"] == "chat"),
                          ("request_id=nothing", lambda r: False)):
        want = [record for record in filled.records if passes(record)]
        got = filled.admin.get(f"/v2/usage/records?limit=10000&{query}").expect(200)["items"]
        assert sorted(item["seq"] for item in got) == sorted(record["seq"] for record in want)
    for query, word in (("cursor=7", "cursor must be"), ("outcome=fine", "outcome must be some of"),
                        ("limit=10001", "limit")):
        reply = filled.admin.get(f"/v2/usage/records?{query}")
        assert reply.status == 422 and word in reply.json()["message"]


def test_csv_of_records_is_one_stream(filled):
    reply = filled.admin.get("/v2/usage/records", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(reply.expect(200))))
    assert [int(row["seq"]) for row in rows] != sorted(int(row["seq"]) for row in rows)
    assert {int(row["seq"]) for row in rows} == set(range(1, 3001)) and len(rows) == 3000
    some = filled.admin.get("/v2/usage/records?format=csv&limit=7&outcome=aborted").expect(200)
    assert len(list(csv.DictReader(io.StringIO(some)))) == 7
    none = filled.admin.get("/v2/usage/records?format=csv&request_id=nothing").expect(200)
    assert none.count("\n") == 1 and none.startswith("id,started_at,request_id,user_id,username")


def test_a_client_that_leaves_an_export(filled):
    """Control goes on; nothing is left of it."""
    for _ in range(20):
        connection, _ = filled.admin.open("GET", "/v2/usage/records?format=csv")
        connection.close()
    assert filled.summary()["requests"] == 3000


# --- who sees what -------------------------------------------------------------------------------


def test_users_see_their_own(server):
    ann, ann_client, key = server.make_user("ann")
    bob, bob_client, _ = server.make_user("bob")
    server.send(GATEWAYS[0], [make_record(1, user_id=ann, key_id=key),
                              make_record(2, user_id=bob), make_record(3, user_id=ann)]).expect(200)
    for client, number, count in ((ann_client, ann, 2), (bob_client, bob, 1)):
        own = client.get("/v2/usage?group_by=user").expect(200)
        assert [item["user_id"] for item in own["items"]] == [number]
        assert own["summary"]["requests"] == count
        records = client.get("/v2/usage/records").expect(200)["items"]
        assert {item["user_id"] for item in records} == {number} and len(records) == count
        named = client.get(f"/v2/usage?user_ids={number}").expect(200)
        assert named["summary"]["requests"] == count
        for path in ("/v2/usage", "/v2/usage/records"):
            reply = client.get(f"{path}?user_ids=1,{number}")
            assert reply.status == 403 and "usage of others" in reply.json()["message"]
            assert "req_" not in client.get(f"{path}?format=csv&request_id=no").text
        for path in ("/v2/dashboard", "/v2/dashboard/usage", "/v2/dashboard/usage/stats"):
            assert client.get(path).status == 403
    hidden = bob_client.get("/v2/usage/records?request_id=req_1").expect(200)
    assert hidden["items"] == []
    assert server.summary()["requests"] == 3


def test_names_outlive_what_they_name(server):
    ann, client, key = server.make_user("ann")
    server.send(GATEWAYS[0], [make_record(1, user_id=ann, key_id=key)]).expect(200)
    client.put(f"/v2/api-keys/{key}", {"name": "desktop"}).expect(200)
    (item,) = server.items("group_by=user,key")
    assert (item["username"], item["key_name"]) == ("ann", "desktop"), "the present name"
    server.admin.delete(f"/v2/users/{ann}").expect(200)
    (item,) = server.items("group_by=user,key")
    assert (item["username"], item["key_name"]) == ("ann", "laptop"), "that of then"
    (record,) = server.admin.get("/v2/usage/records").expect(200)["items"]
    assert (record["username"], record["key_name"]) == ("ann", "laptop")


# --- dashboard, removal, command -----------------------------------------------------------------


def test_dashboard(filled):
    usage = filled.admin.get("/v2/dashboard").expect(200)["model_usage"]
    days = group(filled.records, lambda r: r["started_ms"] // DAY * DAY // 1000)
    for series, member in (("prompt_token_history", "prompt_tokens"),
                           ("completion_token_history", "completion_tokens")):
        assert usage[series] == [{"timestamp": day, "value": sum(one[member] for one in days[day])}
                                 for day in sorted(days)]
    assert usage["api_request_history"] == [{"timestamp": day, "value": len(days[day])}
                                            for day in sorted(days)]
    users = group(filled.records, lambda r: r["user_id"])
    top = sorted(users, key=lambda user: -tokens(users[user]))
    assert [user["user_id"] for user in usage["top_users"]] == top
    assert usage["top_users"][0]["prompt_token_count"] == sum(
        one["prompt_tokens"] for one in users[top[0]])
    stats = filled.admin.get("/v2/dashboard/usage/stats?model_ids=1&model_ids=2").expect(200)
    assert sum(entry["value"] for entry in stats["api_request_history"]) == sum(
        one["model_id"] in (1, 2) for one in filled.records)
    day = iso(now_ms() - 2 * DAY)[:10]
    rows = filled.admin.get(f"/v2/dashboard/usage?start_date={day}&end_date={day}").expect(200)
    want = [one for one in filled.records if iso(one["started_ms"])[:10] == day]
    assert sum(row["request_count"] for row in rows) == len(want) > 0
    assert {row["date"] for row in rows} == {day}


def test_tokens_of_active_models(server):
    """Only models with instances are active; their tokens are those of all times."""
    model = server.admin.post("/v2/models", {
        "name": "hello", "source": "local_path", "local_path": "/x.gguf",
        "replicas": 1}).expect(200)
    wait_for(lambda: server.admin.get("/v2/model-instances").expect(200)["items"],
             what="an instance")
    server.send(GATEWAYS[0], [make_record(1, model_id=model["id"], started_ms=DAY),
                              make_record(2, model_id=model["id"])]).expect(200)
    board = server.admin.get("/v2/dashboard").expect(200)
    assert [(one["name"], one["token_count"]) for one in board["active_models"]] == [("hello", 30)]


def test_old_records_go_and_their_sums_stay(gpustack_binary, tmp_path):
    server = Server(gpustack_binary, tmp_path, "--usage-retention-days", "2")
    try:
        server.start()
        server.send(GATEWAYS[0], [make_record(1, started_ms=now_ms() - 3 * DAY),
                                  make_record(2)]).expect(200)
        server.restart()

        def left():
            items = server.admin.get("/v2/usage/records").expect(200)["items"]
            return [item["seq"] for item in items] == [2]

        wait_for(left, what="the old record is gone")
        assert server.summary()["requests"] == 2
        assert "removed 1 records that were too old" in (tmp_path / "control.log").read_text()
    finally:
        server.kill()


def since_hour(records, start):
    hour = DAY // 24
    return sum(one["started_ms"] >= start // hour * hour for one in records)


def test_command(filled):
    done = filled.cli("--by", "user,operation")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["USER", "OPERATION", "REQUESTS", "ERRORS"]
    assert lines[-1].split()[:2] == ["total", "3000"]
    assert any(line.split()[:2] == ["admin", "chat"] for line in lines)
    before = since_hour(filled.records, now_ms() - 2 * DAY)
    seen = json.loads(filled.cli("--since", "2d", "--json").stdout)["summary"]["requests"]
    assert seen in (before, since_hour(filled.records, now_ms() - 2 * DAY))
    rows = list(csv.DictReader(io.StringIO(filled.cli("--by", "model", "--csv").stdout)))
    assert sum(int(row["requests"]) for row in rows) == 3000
    records = filled.cli("records", "--outcome", "aborted", "--limit", "3").stdout.splitlines()
    assert len(records) == 4 and all(" aborted " in line for line in records[1:])
    one = json.loads(filled.cli("records", "--request-id", "req_77", "--json").stdout)
    assert [item["seq"] for item in one["items"]] == [77]
    assert filled.cli("records", "--csv").stdout.count("\n") == 3001


def test_command_shows_all_rows(many):
    """However many pages the API makes of them, and however they are to be shown."""
    for args in (["--by", "key"], ["--by", "key", "--since", "2d"]):
        answer = json.loads(many.cli(*args, "--json").stdout)
        assert sorted(item["key_id"] for item in answer["items"]) == sorted(many.keys)
        assert answer["summary"]["requests"] == MANY
        assert answer["pagination"] == {"page": 1, "perPage": MANY, "total": MANY, "totalPage": 1}
    assert len(csv_rows(many.cli("--by", "key", "--csv").stdout)) == MANY
    lines = many.cli("--by", "key").stdout.splitlines()
    assert len(lines) == MANY + 2 and lines[-1].split()[:2] == ["total", str(MANY)]
    for limit, count in (("10010", 10010), ("20000", MANY)):
        answer = json.loads(many.cli("records", "--limit", limit, "--json").stdout)
        assert len({item["seq"] for item in answer["items"]}) == len(answer["items"]) == count
        assert (answer["next_cursor"] is None) == (count == MANY)
        assert len(csv_rows(many.cli("records", "--limit", limit, "--csv").stdout)) == count
        assert len(many.cli("records", "--limit", limit).stdout.splitlines()) == count + 1


def test_full_disk_is_no_success(many):
    for args in (["--by", "key"], ["--by", "route"], ["records"], ["records", "--limit", "9"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = many.cli(*args, "--csv", stdout=full)
        assert done.returncode == 1 and "can't write the output" in done.stderr, args


def test_help_says_what_is_shown_by_itself(server):
    """31 days of sums, today included; of records all."""
    days = [now_ms() - days * DAY for days in (0, 30, 31)]
    server.send(GATEWAYS[0], [make_record(seq, started_ms=started)
                              for seq, started in enumerate(days, 1)]).expect(200)
    text = " ".join(server.cli("--help").stdout.split())
    assert "Without --since sums are of 31 days, today included, records of any time." in text
    assert json.loads(server.cli("--json").stdout)["summary"]["requests"] == 2
    assert len(json.loads(server.cli("records", "--json").stdout)["items"]) == 3


@pytest.mark.parametrize("args,status,word", [
    (["records", "--limit", "0"], 2, "--limit must be 1-9007199254740992, not \"0\""),
    (["records", "--limit", "all", "--csv"], 2, "not \"all\""),
    (["nonsense"], 2, "usage: gpustack usage [records]"),
    (["--csv", "--json"], 2, "can't be used together"),
    (["records", "--by", "model"], 2, "--by is for sums"),
    (["--limit", "3"], 2, "are for \"usage records\""),
    (["--since", "noon"], 1, "start must be a date"),
    (["--by", "moon"], 1, "group_by must be some of")])
def test_wrong_commands(filled, args, status, word):
    done = filled.cli(*args)
    assert done.returncode == status and word in done.stderr, done.stderr


# --- while the store is held ---------------------------------------------------------------------


def test_nothing_is_acknowledged_before_it_is_durable(server):
    """Another process holds the database: reads go on, the answer to a batch waits, and so does
    that to the same batch sent once more."""
    server.send(GATEWAYS[0], [make_record(1)]).expect(200)
    holder = sqlite3.connect(server.folder / "database.db", isolation_level=None)
    replies = []

    def send():
        replies.append(server.send(GATEWAYS[0], [make_record(1), make_record(2)]).expect(200))

    senders = [threading.Thread(target=send) for _ in range(2)]
    try:
        holder.execute("BEGIN IMMEDIATE")
        for sender in senders:
            sender.start()
        wait_for(lambda: server.admin.get("/v2/users/me").status == 200)
        for _ in range(20):
            assert server.summary()["requests"] == 1
        assert not replies
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    for sender in senders:
        sender.join(20)
    assert replies == [{"applied": 2}] * 2
    assert server.summary()["requests"] == 2
