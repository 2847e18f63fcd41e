"""Every alert has a case in which it fires, and one in which it does not. promtool evaluates them: `make check-alerts`."""

from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from deploy.observability.render import ROOT
from deploy.observability.rules import alerts

FOLDER = ROOT / "deploy" / "observability" / "tests"
ALERTS = {alert.name: alert for alert in alerts()}


def _cases() -> list[tuple[Path, Any]]:
    files = sorted(FOLDER.glob("*.yaml"))
    return [(path, case) for path in files for case in yaml.safe_load(path.read_text())["tests"]]


def _expected(alert: str) -> list[Any]:
    checks = (check for _, case in _cases() for check in case["alert_rule_test"])
    return [check["exp_alerts"] for check in checks if check["alertname"] == alert]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    expected = _expected(alert)

    assert [] in expected
    assert any(expected)


def test_cases_are_about_alerts_that_exist_and_say_what_these_say() -> None:
    for _, case in _cases():
        for check in case["alert_rule_test"]:
            alert = ALERTS[check["alertname"]]
            for fired in check["exp_alerts"]:
                assert fired["exp_labels"]["severity"] == alert.severity, case["name"]
                assert fired["exp_annotations"]["runbook"] == alert.runbook, case["name"]


def test_cases_read_the_rules_that_are_rendered() -> None:
    for path in FOLDER.glob("*.yaml"):
        named = yaml.safe_load(path.read_text())["rule_files"]
        assert [(path.parent / name).resolve() for name in named] == [FOLDER.parent / "rules.yaml"]


def test_series_of_cases_can_be_read() -> None:
    series = [given["series"] for _, case in _cases() for given in case["input_series"]]

    assert len(series) > len(ALERTS)
    for each in series:
        assert isinstance(promql_parser.parse(each), promql_parser.VectorSelector)
