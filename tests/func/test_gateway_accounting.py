# SPDX-License-Identifier: Apache-2.0
"""What was consumed is counted once: a cluster whose gateway and control are killed at random
moments under all kinds of requests; afterwards control's records and sums are held against what the
engines did and what the clients saw.

GPUSTACK_ACCOUNTING=100000 makes it that many requests (./check accounting-long);
GPUSTACK_ACCOUNTING_SEED=N another row of them.
"""

import collections
import os
import random
import time

import pytest

import harness
import scripted
from harness import Http, wait_for
from mixed_load import KINDS, Mix, MixedLoad

REQUESTS = int(os.environ.get("GPUSTACK_ACCOUNTING", "3000"))
SEED = int(os.environ.get("GPUSTACK_ACCOUNTING_SEED", "20260131"))
KILLS, CLIENTS = (3, 16) if REQUESTS <= 10000 else (12, 64)  # kills of each of the two roles
LOST_S = 1.0                             # of requests that a kill of the gateway may cost
PAGE = 10000


class Truth:
    """What the engines say of themselves."""

    def __init__(self, engines):
        self.entries = collections.defaultdict(list)  # by the request's id
        self.totals = collections.Counter()
        for engine in engines:
            self.totals.update(engine.get("/script/totals").expect(200))
            for entry in engine.get("/script/log", timeout=120).expect(200)["requests"]:
                headers = {name.lower(): value for name, value in entry["headers"].items()}
                self.entries[headers["x-request-id"]].append(entry)

    def served(self, identity):
        """The entry of the request as it was answered with success and to the end, or None."""
        found = [entry for entry in self.entries[identity]
                 if entry["end"] == "done" and entry["status"] == 200]
        assert len(found) <= 1, f"{identity} was worked on twice"
        return found[0] if found else None

    def worked(self, identity):
        """Events that any engine has made for the request."""
        return max((entry["completion_tokens"] for entry in self.entries[identity]), default=0)


class Kill:
    """When a role was killed: `begin` before the signal, `end` when the process was gone."""

    def __init__(self, cluster, role):
        cluster.pid(role, timeout=30)  # the supervisor takes its time after many
        self.role, self.begin = role, time.monotonic()
        cluster.kill(role)
        self.end = time.monotonic()

    def may_have_lost(self, seen):
        """It ended within LOST_S before; the client may have looked at the last bytes later."""
        return self.role == "gateway" and self.begin - LOST_S <= seen.at and seen.begin <= self.end


@pytest.fixture(scope="module")
def cluster(gpustack_binary, demo_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("accounting")
    engines = scripted.install_engine(folder / "engines")
    made = harness.Cluster(gpustack_binary, engines, folder)
    try:
        made.start()
        for name, replicas in (("one", 1), ("two", 2)):
            made.deploy(name, demo_model, replicas=replicas)
        targets = [{"model_id": made.model(name)["id"], "weight": weight}
                   for name, weight in (("one", 30), ("two", 70))]
        made.admin.post("/v2/model-routes", {"name": "front", "targets": targets}).expect(200)
        yield made
    finally:
        made.stop()


def engines_of(cluster):
    return [Http("127.0.0.1", instance["port"]) for instance in cluster.items(
        "/v2/model-instances")]


def kill_at_random(cluster, load, draw):
    """Kills roles while requests run; returns the kills."""
    roles = ["gateway", "control"] * KILLS
    draw.shuffle(roles)
    moments = sorted(draw.randrange(REQUESTS // 20, REQUESTS * 19 // 20) for _ in roles)
    kills = []
    for role, moment in zip(roles, moments):
        wait_for(lambda: load.ended >= moment or not load.thread.is_alive(), 600,
                 f"{moment} requests", pause=0.002)
        kills.append(Kill(cluster, role))
    return kills


def fetch_records(cluster):
    records, cursor = [], ""
    while cursor is not None:
        page = cluster.admin.get(f"/v2/usage/records?limit={PAGE}&cursor={cursor}").expect(200)
        records += page["items"]
        cursor = page["next_cursor"]
    return records


def must_be_recorded(seen, kills):
    """Whether the request surely came to its end at the gateway, and long enough before a kill."""
    if any(kill.may_have_lost(seen) for kill in kills):
        return False
    return seen.end == "done" or (seen.end == "left" and seen.content > 0)


def wait_settled(cluster, seen, kills):
    """Until control has a record of each request that must have one; returns all records."""
    wanted = {one.request.identity for one in seen if must_be_recorded(one, kills)}

    def missing():
        records = fetch_records(cluster)
        left = wanted - {record["request_id"] for record in records}
        if left:
            examples = [one for one in seen if one.request.identity in left][:3]
            raise ValueError(f"{len(left)} are missing, {examples}")
        return records

    def is_idle():
        text = cluster.http().get("/metrics").expect(200)
        return all(f"gpustack_gateway_{name} 0\n" in text
                   for name in ("requests_in_flight", "journal_unsent_records"))

    wait_for(is_idle, 60, "the gateway has nothing left to tell")
    wait_for(missing, 60, "all records", pause=0.5)
    wait_for(is_idle, 60, "the gateway has nothing left to tell")
    return fetch_records(cluster)


# --- what must be so -----------------------------------------------------------------------------


def check_once(records):
    ids = collections.Counter(record["request_id"] for record in records)
    assert not [identity for identity, count in ids.items() if count > 1]
    numbers = collections.Counter((record["gateway"], record["seq"]) for record in records)
    assert max(numbers.values()) == 1


def check_completed(records, truth):
    """Tokens of each request that was served are those that its engine told; returns how many
    requests that were."""
    compared = 0
    for record in records:
        if record["outcome"] != "ok":
            continue
        entry = truth.served(record["request_id"])
        assert entry, record
        if not KINDS[record["operation"]].tells_tokens or "usage=none" in entry["script"]:
            continue
        expected = (entry["prompt_tokens"], entry["completion_tokens"])
        assert not record["is_estimated"], record
        assert (record["prompt_tokens"], record["completion_tokens"]) == expected, (record, entry)
        compared += 1
    assert compared > len(records) / 2
    return compared


def check_sums(truth):
    """The engines' own sums are those of their logs, so nothing is missing in these."""
    entries = [entry for found in truth.entries.values() for entry in found]
    assert truth.totals["in_progress"] == 0
    for member in ("prompt_tokens", "completion_tokens"):
        assert truth.totals[member] == sum(entry[member] for entry in entries)


def check_nothing_is_missing(records, truth, seen, kills):
    """What engines served to the end has a record, or a kill of the gateway has cost it. Returns
    how many were lost and how long before the kill the first of them had ended."""
    have = {record["request_id"] for record in records}
    by_id = {one.request.identity: one for one in seen}
    lost = 0
    for identity in truth.entries:
        if identity in have or not truth.served(identity):
            continue
        one = by_id[identity]
        at_risk = any(kill.may_have_lost(one) for kill in kills)
        assert at_risk or one.end == "broken" or one.content == 0, one
        lost += one.end == "done"
    ages = [min(kill.begin - one.at for kill in kills if kill.may_have_lost(one))
            for one in seen if one.end == "done" and one.request.identity not in have
            and any(kill.may_have_lost(one) for kill in kills)]
    return lost, max(ages, default=0)


def check_clients(records, truth, seen):
    """What a client saw is what was recorded; who left is billed for all that it got at least, and
    for no more than was made."""
    by_id = {record["request_id"]: record for record in records}
    counts = collections.Counter()
    for one in seen:
        record = by_id.get(one.request.identity)
        if not record:
            continue
        counts[record["outcome"]] += 1
        assert record["operation"] == one.request.operation
        assert record["route"] == one.request.body["model"]
        if one.end == "done":
            assert record["status"] == one.status, (record, one)
            assert (record["outcome"] == "ok") == (one.status == 200 and not one.is_error), record
        if record["outcome"] in ("aborted", "cut"):
            made = truth.worked(one.request.identity)
            assert one.content <= record["completion_tokens"] <= made, (record, one)
        if one.end == "left" and one.content > 0:
            assert record["outcome"] in ("aborted", "ok") or one.is_error, record
            assert record["prompt_tokens"] > 0
    return counts


def check_rollups(cluster, records):
    """Sums by hour, from which answers are made, are those of the records."""
    def add(rows):
        sums = collections.Counter()
        for row in rows:
            for member in ("prompt_tokens", "cached_tokens", "completion_tokens", "queue_us",
                           "total_us", "first_byte_us"):
                sums[member] += row[member]
        return dict(sums)

    for by in ("model", "key", "user", "route", "operation", "hour", "day"):
        report = cluster.admin.get(f"/v2/usage?group_by={by}&perPage=1000").expect(200)
        assert add(report["items"]) == add(records), by
        assert sum(row["requests"] for row in report["items"]) == len(records), by
    summary = report["summary"]
    assert summary["requests"] == len(records)
    assert summary["errors"] == sum(record["outcome"] not in ("ok", "aborted")
                                    for record in records)
    assert summary["total_tokens"] == sum(record["prompt_tokens"] + record["completion_tokens"]
                                          for record in records)
    for key in {record["key_id"] for record in records}:
        mine = cluster.admin.get(f"/v2/usage?key_ids={key}").expect(200)["summary"]
        assert mine["requests"] == sum(record["key_id"] == key for record in records)


def test_every_request_counts_once_whatever_is_killed(cluster):
    draw = random.Random(SEED)
    keys = [cluster.make_key({"name": name}) for name in ("first", "second")]
    mix = Mix(SEED, ["one", "two", "front"], keys, delay_ms=15)
    begin = time.monotonic()
    load = MixedLoad(cluster.port, mix, REQUESTS, CLIENTS).start()
    kills = kill_at_random(cluster, load, draw)
    seen = load.join(3600)
    took = time.monotonic() - begin
    records = wait_settled(cluster, seen, kills)
    truth = Truth(engines_of(cluster))
    check_once(records)
    compared = check_completed(records, truth)
    check_sums(truth)
    lost, age = check_nothing_is_missing(records, truth, seen, kills)
    outcomes = check_clients(records, truth, seen)
    check_rollups(cluster, records)
    assert {record["operation"] for record in records} == set(KINDS)
    ends = collections.Counter(one.end for one in seen)
    print(f"{len(seen)} requests in {took:.1f} s {dict(ends)}, {2 * KILLS} kills, "
          f"{len(records)} records {dict(outcomes)}, {compared} compared with their engines; "
          f"{lost} lost, ended at most {age * 1e3:.0f} ms before a kill")
