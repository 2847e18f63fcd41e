"""Alerts for what customers or operators notice, each with a runbook, and what is recorded for them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.observability.objectives import OBJECTIVES, WINDOWS
from services.common.postgres.schema import newest_known

RUNBOOKS = "docs/runbooks"
DUTY_SILENT_SECONDS = 1_800
"""Three times the longest pause between two runs of a duty."""
CERTIFICATE_DAYS = 7
"""Certificates are renewed ten days before they end."""
SERVICES = ("billing", "jobs", "webhooks")
Rule = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What somebody must look at: at once (`page`), or on the next working day (`ticket`)."""

    name: str
    expr: str
    lasts: str
    """For how long it must hold."""
    severity: str
    summary: str

    @property
    def runbook(self) -> str:
        """The page that says what to do, from the root of the repository."""
        return f"{RUNBOOKS}/{re.sub(r'(?<!^)(?=[A-Z])', '-', self.name).lower()}.md"

    def rule(self) -> Rule:
        """Returns the alert as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "runbook": self.runbook},
        }


def _schema_behind() -> str:
    return " or ".join(
        f'min by (service) (reelgate_schema_version{{service="{service}"}}) < {newest_known(service)}'
        for service in SERVICES
    )


def alerts() -> Iterator[Alert]:
    """Yields every alert."""
    for objective in OBJECTIVES:
        yield Alert(
            name=objective.alert,
            expr=objective.burning(),
            lasts="2m",
            severity="page",
            summary=f"{objective.summary}.",
        )
    yield from _work()
    yield from _money()
    yield from _processes()


def _work() -> Iterator[Alert]:
    yield Alert(
        name="QueueStuck",
        expr="max by (queue) (reelgate_queue_oldest_seconds) > 120",
        lasts="5m",
        severity="page",
        summary="What is due in queue {{ $labels.queue }} is not taken.",
    )
    yield Alert(
        name="ProviderAccessBroken",
        expr='sum by (route) (increase(reelgate_provider_failures_total{class="broken"}[10m])) > 0',
        lasts="10m",
        severity="page",
        summary="Provider {{ $labels.route }} does not accept our credentials, our account or our configuration.",
    )
    yield Alert(
        name="CredentialOut",
        expr="max by (credential, reason) (reelgate_credential_out) > 0",
        lasts="1m",
        severity="page",
        summary="Nothing is ordered with credential {{ $labels.credential }} any more: {{ $labels.reason }}.",
    )
    yield Alert(
        name="RateLimitUndecided",
        expr='sum(rate(reelgate_rate_limit_decisions_total{decision="unknown"}[5m]))'
        " / sum(rate(reelgate_rate_limit_decisions_total[5m])) > 0.01",
        lasts="2m",
        severity="page",
        summary="Calls are refused because billing does not say whether they are within their limits.",
    )
    yield Alert(
        name="RetentionBehind",
        expr="max by (table) (reelgate_retention_behind_seconds) > 86400",
        lasts="1h",
        severity="ticket",
        summary="Rows of {{ $labels.table }} are kept for more than a day longer than they should be.",
    )


def _money() -> Iterator[Alert]:
    yield Alert(
        name="LedgerFinding",
        expr="max(reelgate_verifier_findings) > 0 or max(reelgate_ledger_drift_credits) > 0",
        lasts="1m",
        severity="page",
        summary="The ledger, or jobs and their holds, do not agree.",
    )


def _processes() -> Iterator[Alert]:
    yield Alert(
        name="DutyFailing",
        expr=f"time() - reelgate_duty_last_success_timestamp_seconds > {DUTY_SILENT_SECONDS}",
        lasts="5m",
        severity="ticket",
        summary="Duty {{ $labels.duty }} has not succeeded for half an hour at {{ $labels.instance }}.",
    )
    yield Alert(
        name="CertificateExpires",
        expr=f"reelgate_certificate_expires_timestamp_seconds - time() < {CERTIFICATE_DAYS * 86_400}"
        f" or envoy_server_days_until_first_cert_expiring < {CERTIFICATE_DAYS}",
        lasts="1h",
        severity="page",
        summary="A certificate ends within a week at {{ $labels.instance }} and was not renewed.",
    )
    yield Alert(
        name="CatalogueRefused",
        expr="max by (instance) (reelgate_catalogue_refused) > 0",
        lasts="2m",
        severity="page",
        summary="The catalogue at {{ $labels.instance }} cannot be used; what was read before is in force until a restart.",
    )
    yield Alert(
        name="SchemaBehind",
        expr=_schema_behind(),
        lasts="15m",
        severity="ticket",
        summary="The database of {{ $labels.service }} lacks migrations of this release.",
    )
    yield Alert(
        name="MetricsMissing",
        expr="absent(reelgate_build_info) or absent(envoy_server_uptime)",
        lasts="10m",
        severity="page",
        summary="Prometheus reads no metrics of the services or of the edge, so no other alert can fire.",
    )


def groups() -> Mapping[str, Any]:
    """Returns all rules as Prometheus reads them."""
    recorded = [
        {"record": objective.ratio(window), "expr": objective.recorded(window)}
        for objective in OBJECTIVES
        for window in WINDOWS
    ]
    return {
        "groups": [
            {"name": "reelgate-objectives", "interval": "30s", "rules": recorded},
            {"name": "reelgate-alerts", "interval": "30s", "rules": [alert.rule() for alert in alerts()]},
        ]
    }
