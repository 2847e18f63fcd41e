"""Every alert leads to a runbook, and what runbooks say can be done: pages, objects and settings are there."""

import re
import shlex
from typing import Any

import pytest
import yaml

from deploy.observability.pages import DASHBOARDS
from deploy.observability.render import ROOT
from deploy.observability.rules import alerts
from tests.unit.deploy import runbooks

PAGES = runbooks.pages()
COMMANDS = sorted({command for text in PAGES.values() for command in runbooks.commands(text)})
KUBECTL = [shlex.split(command) for command in COMMANDS if command.startswith("kubectl ")]
OBJECTS: list[Any] = list(
    yaml.safe_load_all((ROOT / "deploy/k8s/rendered/production.yaml").read_text(encoding="utf-8"))
)
KINDS = {"deploy": "Deployment", "deployment": "Deployment", "certificate": "Certificate", "secret": "Secret"}
LISTED = {
    "pods": "Deployment", "jobs": "Job", "certificates": "Certificate", "podmonitors": "PodMonitor",
    "networkpolicies": "NetworkPolicy",
}  # fmt: skip
MADE_BY_THE_CLUSTER = {"endpointslices", "certificaterequests"}
PLACEHOLDERS = {"POD", "JOB", "NAME"}
VERBS = {"get", "describe", "logs", "top", "rollout", "scale", "exec", "delete"}


def _of_kind(kind: str) -> set[str]:
    return {found["metadata"]["name"] for found in OBJECTS if found["kind"] == kind}


@pytest.mark.parametrize("alert", list(alerts()), ids=lambda alert: alert.name)
def test_an_alert_has_a_runbook_that_is_about_it(alert: Any) -> None:
    text = PAGES[alert.runbook]

    assert f"`{alert.name}`" in text.splitlines()[0]
    assert [part for part in ("What it means", "What customers see") if f"**{part}.**" not in text] == []
    assert re.findall(r"^## (?:Look|Do|When it is over)$", text, re.MULTILINE)[-1] == "## When it is over"


def test_a_runbook_is_about_an_alert() -> None:
    assert set(PAGES) == {alert.runbook for alert in alerts()}


@pytest.mark.parametrize("words", KUBECTL, ids=" ".join)
def test_a_command_for_the_cluster_names_what_is_there(words: list[str]) -> None:
    assert words[1:3] == ["-n", "reelgate"]
    verb, *rest = words[3 : words.index("--") if "--" in words else None]
    assert verb in VERBS
    kind = None
    for word in rest:
        head, slash, name = word.partition("/")
        if slash and head in KINDS:
            assert name in _of_kind(KINDS[head]), word
        elif word in KINDS:
            kind = KINDS[word]
        elif kind:
            assert word in _of_kind(kind), word
        elif verb == "get":
            assert word in MADE_BY_THE_CLUSTER or _of_kind(LISTED[word]), word


@pytest.mark.parametrize("words", [words for words in KUBECTL if "logs" in words], ids=" ".join)
def test_logs_are_those_of_pods_that_are_there(words: list[str]) -> None:
    if words[-1] == "job/NAME":
        return
    label, value = words[words.index("-l") + 1].split("=")
    labels = [
        found["spec"]["template"]["metadata"]["labels"] for found in OBJECTS if found["kind"] == "Deployment"
    ]

    assert value in {each.get(label) for each in labels}


def test_panels_that_runbooks_name_are_on_the_page_that_they_name() -> None:
    pages = {page.title: {panel.title for panel in page.panels} for page in DASHBOARDS}
    for name, text in PAGES.items():
        for title in re.findall(r'page "([^"]+)"', text):
            assert title in pages, f"{name}: {title}"
        for title in re.findall(r'panel "([^"]+)"', text):
            assert title in set().union(*pages.values()), f"{name}: {title}"


def test_what_stands_for_something_is_explained_or_filled_in() -> None:
    written = {word for command in COMMANDS for word in re.findall(r"\b[A-Z]{3,}\b", command)}

    assert written <= PLACEHOLDERS | {"HOLD", "ROUTE", "CREDENTIAL", "KEY"}
