# SPDX-License-Identifier: Apache-2.0
"""The page /metrics as Prometheus' own parser reads it."""

import os
import pathlib
import re
import subprocess

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

TOP = pathlib.Path(__file__).resolve().parents[2]
OUTCOMES = ("ok", "client_error", "engine_error", "cut", "aborted", "limited", "no_instance",
            "timeout", "other")
TOKEN_KINDS = ("input", "cached", "output")
AWKWARD = 'a "quoted" \\ name\nof two lines'


@pytest.fixture(scope="module")
def page():
    release = pathlib.Path(os.environ.get("GPUSTACK_BUILD_DIR", TOP / "build/release"))
    subprocess.run(["ninja", "-C", release, "tests/lib/metrics_sample"], check=True,
                   stdout=subprocess.DEVNULL)
    done = subprocess.run([release / "tests/lib/metrics_sample"], check=True, capture_output=True)
    return done.stdout.decode()


@pytest.fixture(scope="module")
def families(page):
    return {family.name: family for family in text_string_to_metric_families(page)}


def value(families, family, sample, **labels):
    found = [one.value for one in families[family].samples
             if one.name == sample and labels.items() <= one.labels.items()]
    assert len(found) == 1, found
    return found[0]


def test_every_family_has_help_and_type_and_comes_once(page, families):
    names = re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", page, re.M)
    assert len(names) == len(set(names)) > 20
    assert names == re.findall(r"^# HELP (\S+) \S.*\.$", page, re.M)
    for family in families.values():
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert family.documentation, family.name


def test_strict_parser_takes_it(page):
    """The grammar of OpenMetrics is the stricter one: families in one piece, buckets in order and
    growing, +Inf, labels unique. It wants the families of counters named without _total."""
    text = re.sub(r"^(# (?:HELP|TYPE) \S+?)_total ", r"\1 ", page, flags=re.M)
    families = list(openmetrics.text_string_to_metric_families(text + "# EOF\n"))
    assert len(families) > 20


def documented():
    """Name and type, as the table of doc/metrics.md and the sentence below it have them."""
    text = (TOP / "doc/metrics.md").read_text()
    told = {}
    for names, kind in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (\w+) \|", text, re.M):
        told |= {"gpustack_gateway_" + name: kind for name in re.findall(r"\w+", names)}
    for name in re.findall(r"`(process_\w+)`", text):
        told[name] = "counter" if name.endswith("_total") else "gauge"
    return text, told


def test_the_document_tells_what_is_served(page, families):
    text, told = documented()
    assert told == dict(re.findall(r"^# TYPE (\S+) (\w+)$", page, re.M))
    labels = {(sample.name, label) for family in families.values() for sample in family.samples
              for label in sample.labels if label != "le"}
    for names, own in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| \w+ \| ([\w, ]*) ?\|", text, re.M):
        for name in re.findall(r"\w+", names):
            served = {label for sample, label in labels
                      if re.fullmatch(f"gpustack_gateway_{name}(_bucket|_sum|_count)?", sample)}
            assert served == set(re.findall(r"\w+", own)), name
    for label, values in (("outcome", OUTCOMES), ("kind", TOKEN_KINDS)):
        assert all(f"`{value}`" in text for value in values), label


def test_limits_of_series_are_documented(page):
    text, _ = documented()
    source = TOP / "src/gateway"
    for name, words in (("METRICS_SERIES_MAX", "at most {} combinations"),
                        ("INSTANCES_MAX", "at most {} instances")):
        values = {re.search(rf"\b{name} = (\d+)", path.read_text())
                  for path in (source / "metrics.h", source / "metrics_page.c")}
        (value,) = [found.group(1) for found in values if found]
        assert words.format(value) in text
    codes = re.search(r"SERIES_CODES = (\d+)", (source / "metrics_priv.h").read_text()).group(1)
    assert f"at most {int(codes) - 1} pairs of code and outcome" in text
    assert 'code="other",outcome="other"' in text
    assert 'code="other",outcome="other"' in page


def test_shards_are_summed(families):
    labels = {"model": "hello", "route": "hello", "operation": "chat"}
    requests = "gpustack_gateway_requests"
    assert value(families, requests, requests + "_total", code="200", outcome="ok", **labels) == 2
    assert value(families, requests, requests + "_total", code="none", **labels) == 1
    tokens = "gpustack_gateway_tokens"
    assert value(families, tokens, tokens + "_total", kind="cached", **labels) == 180
    first = "gpustack_gateway_time_to_first_token_seconds"
    assert value(families, first, first + "_count", outcome="ok", **labels) == 2
    assert value(families, first, first + "_sum", outcome="ok", **labels) == 0.5
    assert value(families, first, first + "_bucket", outcome="ok", le="0.25", **labels) == 2
    assert value(families, first, first + "_bucket", outcome="ok", le="0.1", **labels) == 0
    per_token = "gpustack_gateway_time_per_output_token_seconds"
    assert value(families, per_token, per_token + "_sum", outcome="ok", **labels) == 0.2
    aborted = "gpustack_gateway_aborted"
    assert value(families, aborted, aborted + "_total", phase="streaming") == 1


def test_names_are_escaped(families):
    requests = "gpustack_gateway_requests"
    assert value(families, requests, requests + "_total", code="429", model=AWKWARD) == 1


def test_the_rest(families):
    def single(name, **labels):
        return value(families, "gpustack_gateway_" + name, "gpustack_gateway_" + name, **labels)

    assert single("requests_in_flight") == 2
    assert single("breaker_state", instance="hello-a1b2c") == 2
    assert single("engine_connection_reuse_ratio") == 0.75
    assert single("snapshot_age_seconds") == 1.5
    assert single("journal_unsent_records") == 7
    added = "gpustack_gateway_added_seconds"
    assert value(families, added, added + "_bucket", stage="request", le="0.00002") == 1
    assert value(families, added, added + "_sum", stage="request") == 1.000017
    start = value(families, "process_start_time_seconds", "process_start_time_seconds")
    assert start > 1e9
    assert value(families, "process_resident_memory_bytes", "process_resident_memory_bytes") > 1e5
    assert value(families, "process_open_fds", "process_open_fds") >= 3
