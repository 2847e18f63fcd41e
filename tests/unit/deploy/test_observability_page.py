"""docs/observability.md says of each alert and each page what the rules and dashboards say."""

import re

from deploy.observability.objectives import FAILURES, OBJECTIVES
from deploy.observability.pages import DASHBOARDS
from deploy.observability.render import ROOT
from deploy.observability.rules import alerts

TEXT = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
ALERTS = {alert.name: alert for alert in alerts()}


def _link(alert: str) -> str:
    return f"[`{alert}`]({ALERTS[alert].runbook.removeprefix('docs/')})"


def test_objectives_are_on_the_page_with_their_numbers() -> None:
    for each in OBJECTIVES:
        assert f"| {_link(each.alert)} | {each.percent:g} % {each.promise} |\n" in TEXT


def test_all_other_alerts_are_on_the_page_with_their_severity() -> None:
    others = set(ALERTS) - {each.alert for each in OBJECTIVES}
    assert len(others) > 5
    for name in others:
        assert f"| {_link(name)} | {ALERTS[name].severity} | " in TEXT


def test_the_page_names_what_counts_as_a_failure_and_every_dashboard() -> None:
    assert [status for status in FAILURES.split("|") if f"`{status}`" not in TEXT] == []
    assert re.findall(r"^\| Reelgate: (.*?) \|", TEXT, re.MULTILINE) == [page.title for page in DASHBOARDS]


def test_folders_and_files_that_the_page_names_are_there() -> None:
    named = re.findall(r"`(deploy/[\w./-]+)`", TEXT)

    assert len(named) >= 4
    assert [name for name in named if not (ROOT / name).exists()] == []
