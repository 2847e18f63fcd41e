"""Alerts and dashboards ask for what processes tell, by names and labels that exist."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import AggregateExpr, MatrixSelector, VectorSelector

from deploy.observability.objectives import FAILURES
from deploy.observability.render import PAGES, ROOT, RULES
from deploy.observability.rules import DUTY_SILENT_SECONDS
from docs.metrics import everything, exported
from services.common.telemetry.rpc_metrics import CODES
from services.edge.metrics import METRICS

SERVED = ("reelgate.video.v1.VideoService", "reelgate.nextapi.v1.JobService")
OF_THE_TARGET = {"namespace", "pod", "job", "instance"}
"""Labels that Prometheus adds."""
GROUPS = yaml.safe_load((ROOT / RULES).read_text(encoding="utf-8"))["groups"]
ALL_RULES = [rule for group in GROUPS for rule in group["rules"]]
RECORDED = {rule["record"] for rule in ALL_RULES if "record" in rule}
KINDS = {name: found.kind for name, found in exported().items()} | {
    found.name: found.kind for found in METRICS
}


def _pages() -> Iterator[Any]:
    for path in sorted((ROOT / PAGES).glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def _queries() -> Iterator[Any]:
    for rule in ALL_RULES:
        yield pytest.param(rule["expr"], id=rule.get("alert") or rule["record"])
    for page in _pages():
        for panel in page["panels"]:
            for target in panel["targets"]:
                yield pytest.param(target["expr"], id=f"{page['title']}: {panel['title']} {target['refId']}")


QUERIES = tuple(_queries())


TELL = f"""
import json
from docs.metrics import exported
from services.common.telemetry.metrics import REGISTRY
from services.common.telemetry.rpc_metrics import bind_services

exported()
bind_services({SERVED!r})
print(json.dumps([(sample.name, sample.labels) for family in REGISTRY.collect() for sample in family.samples]))
"""


@cache
def _told() -> list[tuple[str, dict[str, str]]]:
    """Returns the series whose labels are bound when a process starts, with every method of the public services.

    In a process of its own: what others did in this one bound more labels.
    """
    done = subprocess.run([sys.executable, "-c", TELL], check=True, capture_output=True, text=True)
    told: list[tuple[str, dict[str, str]]] = json.loads(done.stdout)
    return told


def _parts(query: str) -> list[Any]:
    found: list[Any] = []

    def visit(part: Any) -> bool:
        found.append(part.vector_selector if isinstance(part, MatrixSelector) else part)
        return True

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def _selectors(query: str) -> list[Any]:
    return [part for part in _parts(query) if isinstance(part, VectorSelector)]


def _metric(name: str) -> tuple[str, set[str]]:
    """Returns the metric that a series belongs to, and the labels that the series has besides."""
    if name in KINDS:
        assert KINDS[name] != "histogram", f"{name} is a histogram: ask for its _bucket, _sum or _count"
        return name, set()
    metric, _, part = name.rpartition("_")
    assert KINDS.get(metric) == "histogram", f"nothing tells {name}"
    assert part in {"bucket", "sum", "count"}, f"nothing tells {name}"
    return metric, {"le"} if part == "bucket" else set()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_metrics_and_labels_that_are_told(query: str) -> None:
    known: set[str] = set()
    selectors = _selectors(query)
    for selector in selectors:
        assert selector.name is not None
        if selector.name in RECORDED:
            continue
        metric, besides = _metric(selector.name)
        labels = everything()[metric] | besides | OF_THE_TARGET
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels, str(selector)
        known |= labels

    assert selectors
    for part in _parts(query):
        if isinstance(part, AggregateExpr) and part.modifier is not None:
            assert set(part.modifier.labels) <= known, f"nothing in {query} has all of {part.modifier.labels}"


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_values_that_a_label_can_have(query: str) -> None:
    told = _told()
    for selector in _selectors(query):
        for matcher in selector.matchers.matchers:
            bound = {labels[matcher.name] for name, labels in told if name == selector.name}
            # Which calls a process makes to others is known when it makes them.
            if bound and not selector.name.startswith("reelgate_client_rpc"):
                assert set(matcher.value.split("|")) <= bound, f"{matcher} of {selector.name}"


def test_a_failure_is_a_status_that_exists() -> None:
    assert set(FAILURES.split("|")) < set(CODES)


def test_nothing_is_told_that_no_page_and_no_alert_asks_for() -> None:
    named = {selector.name for query in QUERIES for selector in _selectors(query.values[0])}
    asked = {_metric(name)[0] for name in named - RECORDED if name}

    assert set(everything()) - asked == set()


def test_pages_and_panels_can_be_told_apart() -> None:
    pages = list(_pages())

    assert len({page["uid"] for page in pages}) == len(pages) == 5
    for page in pages:
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in page["panels"]]
        assert len(set(places)) == len(places)
        assert all(panel["description"] for panel in page["panels"])
        assert all(target["legendFormat"] for panel in page["panels"] for target in panel["targets"])


def test_a_duty_is_silent_after_three_of_the_longest_pauses() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py"))
    pauses = [float(each) for each in re.findall(r"^IDLE_SECONDS = ([\d.]+)$", sources, re.MULTILINE)]

    assert len(pauses) > 10
    assert max(pauses) * 3 == DUTY_SILENT_SECONDS


def test_the_operator_of_prometheus_is_given_the_same_rules() -> None:
    path = Path("deploy/k8s/components/prometheus-operator/rules.yaml")
    wrapped = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))

    assert wrapped["kind"] == "PrometheusRule"
    assert wrapped["spec"]["groups"] == GROUPS
