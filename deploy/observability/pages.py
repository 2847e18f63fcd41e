"""Five pages: what customers see, jobs, money, webhooks, and the processes beneath."""

from collections.abc import Sequence

from deploy.observability.objectives import CREATE, FAILURES, OBJECTIVES, POLL
from deploy.observability.panels import Dashboard, Panel

QUANTILES = ("0.5", "0.99")


def _rate(metric: str, by: str, matcher: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{_braced(matcher)}[5m]))"


def _quantiles(histogram: str, *, by: str = "", matcher: str = "") -> Sequence[tuple[str, str]]:
    labels = ", ".join(filter(None, ("le", by)))
    inner = f"sum by ({labels}) (rate({histogram}_bucket{_braced(matcher)}[5m]))"
    names = "".join(f"{{{{{label}}}}} " for label in by.split(", ") if label)
    return [(f"histogram_quantile({each}, {inner})", f"{names}p{float(each) * 100:g}") for each in QUANTILES]


def _braced(matcher: str) -> str:
    return f"{{{matcher}}}" if matcher else ""


def _queue(queues: str) -> Sequence[Panel]:
    return (
        Panel(
            title="Oldest that is due",
            says="Grows while nobody takes what is due. More replicas help only if none of them fails.",
            lines=[(f'max by (queue) (reelgate_queue_oldest_seconds{{queue=~"{queues}"}})', "{{queue}}")],
            unit="s",
        ),
        Panel(
            title="Due",
            says="How much is due, counted up to 1,000.",
            lines=[(f'max by (queue) (reelgate_queue_rows{{queue=~"{queues}"}})', "{{queue}}")],
        ),
    )


OVERVIEW = Dashboard(
    name="overview",
    title="what customers see",
    panels=(
        Panel(
            title="Requests at the edge, by class of the answer",
            says="All that customers send. 5xx is our fault, 4xx theirs.",
            lines=[
                (
                    _rate("envoy_http_downstream_rq_xx", "envoy_response_code_class"),
                    "{{envoy_response_code_class}}xx",
                )
            ],
            unit="reqps",
        ),
        Panel(
            title="How fast the errors of 30 days are used up",
            says="1 is just allowed. An alert fires above 14.4 over an hour, or above 6 over six hours.",
            lines=[(f"{each.ratio('1h')} / {each.allowed:g}", each.alert) for each in OBJECTIVES],
        ),
        Panel(
            title="Creates and polls that fail by our fault",
            says="By method and status; none is normal.",
            lines=[
                (
                    _rate(
                        "reelgate_rpc_total",
                        "method, code",
                        f'method=~"{CREATE}|{POLL}", code=~"{FAILURES}"',
                    ),
                    "{{method}} {{code}}",
                )
            ],
            unit="reqps",
        ),
        Panel(
            title="Time of creates and polls",
            says="Of those that succeed.",
            lines=_quantiles("reelgate_rpc_seconds", by="method", matcher=f'method=~"{CREATE}|{POLL}"'),
            unit="s",
        ),
        Panel(
            title="Time of requests at the edge",
            says="Waits and streams included, so its upper end says nothing about speed.",
            lines=_quantiles("envoy_http_downstream_rq_time"),
            unit="ms",
        ),
        Panel(
            title="Time of requests to services",
            says="As the edge sees them, waits and streams included.",
            lines=_quantiles("envoy_cluster_upstream_rq_time", by="envoy_cluster_name"),
            unit="ms",
        ),
        Panel(
            title="Answers of services that are not a success",
            says="By class; a failure over gRPC is not among them.",
            lines=[
                (
                    _rate(
                        "envoy_cluster_upstream_rq_xx",
                        "envoy_cluster_name, envoy_response_code_class",
                        'envoy_response_code_class=~"4|5"',
                    ),
                    "{{envoy_cluster_name}} {{envoy_response_code_class}}xx",
                )
            ],
            unit="reqps",
        ),
        Panel(
            title="Open connections and requests",
            says="Waits and streams stay open for a minute.",
            lines=[
                ("sum(envoy_http_downstream_cx_active)", "connections"),
                ("sum(envoy_http_downstream_rq_active)", "requests"),
            ],
        ),
        Panel(
            title="Calls by what the rate limiter said",
            says="`unknown` calls are refused because billing did not answer.",
            lines=[(_rate("reelgate_rate_limit_decisions_total", "decision"), "{{decision}}")],
            unit="reqps",
        ),
        Panel(
            title="Creations refused because too many were under way",
            says="By `jobs-api`, which lets accounts in by turns. What the edge refuses before is shown below.",
            lines=[("sum(rate(reelgate_overload_refusals_total[5m]))", "refused")],
            unit="reqps",
        ),
        Panel(
            title="Services as the edge sees them",
            says="Processes that do not answer the edge's probes, requests without an answer, and sent again.",
            lines=[
                (
                    "max by (envoy_cluster_name) (envoy_cluster_membership_total - envoy_cluster_membership_healthy)",
                    "{{envoy_cluster_name}} unhealthy",
                ),
                (
                    _rate("envoy_cluster_upstream_rq_timeout", "envoy_cluster_name"),
                    "{{envoy_cluster_name}} timeouts",
                ),
                (
                    _rate("envoy_cluster_upstream_rq_retry", "envoy_cluster_name"),
                    "{{envoy_cluster_name}} retries",
                ),
                (
                    _rate("envoy_cluster_upstream_cx_connect_fail", "envoy_cluster_name"),
                    "{{envoy_cluster_name}} connections that failed",
                ),
            ],
        ),
        Panel(
            title="What the edge refuses by itself",
            says="No memory left, too many connections, or too many requests open to a service.",
            lines=[
                ("sum(rate(envoy_http_downstream_rq_overload_close[5m]))", "requests, no memory"),
                ("sum(rate(envoy_listener_downstream_cx_overload_reject[5m]))", "connections, no memory"),
                ("sum(rate(envoy_listener_downstream_global_cx_overflow[5m]))", "connections, too many"),
                (
                    _rate("envoy_cluster_upstream_rq_pending_overflow", "envoy_cluster_name"),
                    "requests to {{envoy_cluster_name}}",
                ),
            ],
        ),
    ),
)

JOBS = Dashboard(
    name="jobs",
    title="jobs",
    panels=(
        Panel(
            title="Unfinished jobs, by state",
            says="`waiting` jobs have no place at a provider; more workers do not help them.",
            lines=[("max by (state) (reelgate_jobs)", "{{state}}")],
        ),
        Panel(
            title="Jobs that ended",
            says="As their customers see them.",
            lines=[(_rate("reelgate_jobs_ended_total", "outcome"), "{{outcome}}")],
            unit="reqps",
        ),
        *_queue("work|fetch|outbox|refunds|strays"),
        Panel(
            title="From the provider's result to the customer's",
            says="Fetching, checking and storing it, and charging for it.",
            lines=_quantiles("reelgate_job_completion_lag_seconds"),
            unit="s",
        ),
        Panel(
            title="Time of calls to providers",
            says="That were answered.",
            lines=_quantiles("reelgate_provider_seconds", by="route, operation"),
            unit="s",
        ),
        Panel(
            title="Calls to providers that failed",
            says="`broken` means that our access does not work; the others are tried again.",
            lines=[
                (
                    _rate("reelgate_provider_failures_total", "route, operation, class"),
                    "{{route}} {{operation}} {{class}}",
                )
            ],
            unit="reqps",
        ),
        Panel(
            title="Jobs kept longer than they should be",
            says="0 unless retention is behind, or something of an old month is unfinished.",
            lines=[('max by (table) (reelgate_retention_behind_seconds{table="jobs"})', "{{table}}")],
            unit="s",
        ),
    ),
)

MONEY = Dashboard(
    name="money",
    title="money",
    panels=(
        Panel(
            title="Live credits that moved, per second",
            says="What is held is captured, released or expires later.",
            lines=[(_rate("reelgate_credits_total", "movement", 'environment="live"'), "{{movement}}")],
        ),
        Panel(
            title="Test credits that moved, per second",
            says="They cost nobody anything.",
            lines=[(_rate("reelgate_credits_total", "movement", 'environment="test"'), "{{movement}}")],
        ),
        Panel(
            title="Ledger drift in credits",
            says="By how much amounts differ that must be equal. Anything but 0 is a fault.",
            lines=[("max(reelgate_ledger_drift_credits)", "drift")],
        ),
        Panel(
            title="Findings of the verifier",
            says="By check. Anything but 0 is a fault.",
            lines=[("max by (check) (reelgate_verifier_findings)", "{{check}}")],
        ),
        Panel(
            title="Requests to holds",
            says="By outcome. Many come in one call.",
            lines=[
                (
                    _rate("reelgate_hold_requests_total", "request, outcome") + " > 0",
                    "{{request}} {{outcome}}",
                )
            ],
            unit="reqps",
        ),
        Panel(
            title="Calls to the ledger",
            says="By status.",
            lines=[
                (
                    _rate("reelgate_client_rpc_total", "method, code", 'method=~"LedgerService/.*"') + " > 0",
                    "{{method}} {{code}}",
                )
            ],
            unit="reqps",
        ),
        Panel(
            title="Time of calls to the ledger",
            says="As jobs sees them, of those that succeed.",
            lines=_quantiles(
                "reelgate_client_rpc_seconds", by="method", matcher='method=~"LedgerService/.*"'
            ),
            unit="s",
        ),
        *_queue("holds"),
    ),
)

WEBHOOKS = Dashboard(
    name="webhooks",
    title="webhooks",
    panels=(
        Panel(
            title="From the event to its receiver",
            says="Of events that were delivered at the first attempt. The receiver's own time is in it.",
            lines=_quantiles("reelgate_webhook_delay_seconds"),
            unit="s",
        ),
        Panel(
            title="Attempts, by what became of them",
            says="Failures are usually the receivers'. All of them at once are ours.",
            lines=[(_rate("reelgate_webhook_attempts_total", "outcome"), "{{outcome}}")],
            unit="reqps",
        ),
        *_queue("deliveries|outbox"),
        Panel(
            title="Events that jobs hands over",
            says="By status.",
            lines=[
                (
                    _rate("reelgate_client_rpc_total", "method, code", 'method=~"IntakeService/.*"') + " > 0",
                    "{{method}} {{code}}",
                )
            ],
            unit="reqps",
        ),
        Panel(
            title="Events kept longer than they should be",
            says="0 unless retention is behind.",
            lines=[('max by (table) (reelgate_retention_behind_seconds{table="events"})', "{{table}}")],
            unit="s",
        ),
    ),
)

PROCESSES = Dashboard(
    name="processes",
    title="processes",
    panels=(
        Panel(
            title="Versions and schemas",
            says="Two versions at once are an upgrade under way.",
            lines=[
                ("count by (version) (reelgate_build_info)", "processes of {{version}}"),
                ("min by (service) (reelgate_schema_version)", "schema of {{service}}"),
            ],
        ),
        Panel(
            title="Days until certificates end",
            says="They are renewed ten days before.",
            lines=[
                (
                    "min by (job, file) (reelgate_certificate_expires_timestamp_seconds - time()) / 86400",
                    "{{file}}",
                ),
                ("min(envoy_server_days_until_first_cert_expiring) < 10000", "edge"),
            ],
        ),
        Panel(
            title="Calls that fail by our fault, by method",
            says="Calls between services included.",
            lines=[
                (
                    _rate("reelgate_rpc_total", "method, code", f'code=~"{FAILURES}"') + " > 0",
                    "{{method}} {{code}}",
                )
            ],
            unit="reqps",
        ),
        Panel(
            title="The longest wait for the event loop",
            says="Above a tenth of a second a process has too much to do, or something blocks it.",
            lines=[("max by (pod, instance) (reelgate_loop_lag_seconds)", "{{pod}} {{instance}}")],
            unit="s",
        ),
        Panel(
            title="Runs of duties that failed",
            says="One is tried again at once.",
            lines=[(_rate("reelgate_duty_runs_total", "duty", 'outcome="failed"') + " > 0", "{{duty}}")],
            unit="reqps",
        ),
        Panel(
            title="Since a duty last succeeded",
            says="The longest pause between two runs is ten minutes.",
            lines=[
                ("max by (duty) (time() - reelgate_duty_last_success_timestamp_seconds)", "{{duty}}"),
            ],
            unit="s",
        ),
        Panel(
            title="Time of duties",
            says="Whatever came of them.",
            lines=_quantiles("reelgate_duty_seconds", by="duty"),
            unit="s",
        ),
        Panel(
            title="Mean wait for a database connection",
            says="Grows when a pool is too small, or the database slow.",
            lines=[
                (
                    f"{_rate('reelgate_pool_wait_seconds_total', 'pool')} / {_rate('reelgate_pool_requests_total', 'pool')}",
                    "{{pool}}",
                )
            ],
            unit="s",
        ),
        Panel(
            title="Database connections",
            says="By pool, over all processes.",
            lines=[
                ("sum by (pool, state) (reelgate_pool_connections)", "{{pool}} {{state}}"),
                ("sum by (pool) (reelgate_pool_waiting)", "{{pool}} waited for"),
                (_rate("reelgate_pool_waits_total", "pool"), "{{pool}} had to be waited for, per second"),
                (_rate("reelgate_pool_timeouts_total", "pool"), "{{pool}} in vain, per second"),
            ],
        ),
        Panel(
            title="Spans",
            says="`lost` ones did not reach the collector.",
            lines=[(_rate("reelgate_spans_total", "outcome"), "{{outcome}}")],
            unit="reqps",
        ),
        Panel(
            title="Memory of the edge",
            says="It refuses requests when it has none left.",
            lines=[("max by (pod, instance) (envoy_server_memory_allocated)", "{{pod}} {{instance}}")],
            unit="bytes",
        ),
    ),
)

DASHBOARDS = (OVERVIEW, JOBS, MONEY, WEBHOOKS, PROCESSES)
