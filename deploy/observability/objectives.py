"""What customers are promised in numbers, and the rules that tell how fast a promise is being broken."""

from dataclasses import dataclass

FAILURES = "UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|DATA_LOSS"
"""The gRPC statuses that are our fault, whatever the customer sent."""
CREATE = "VideoService/CreateVideo|JobService/CreateJob"
POLL = "VideoService/GetVideo|JobService/GetJob"

FAST, SLOW = ("1h", "5m", 14.4), ("6h", "30m", 6)
"""A long window, a short one that ends the alert soon after the trouble, and how many times faster than allowed the
errors of 30 days are used up: 2 % of them within the hour, 5 % within six."""
WINDOWS = ("5m", "30m", "1h", "6h")


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A share of something that must be good, over 30 days."""

    alert: str
    record: str
    percent: float
    promise: str
    summary: str
    bad: str
    """How many were bad, as a query with `{window}` for the window of its rates."""
    all: str

    @property
    def allowed(self) -> float:
        """The share that may be bad."""
        return round(1 - self.percent / 100, 6)

    def ratio(self, window: str) -> str:
        """Returns the name under which the share that was bad is recorded."""
        return f"reelgate:{self.record}:ratio_rate{window}"

    def recorded(self, window: str) -> str:
        """Returns the query for the share that was bad."""
        return f"{self.bad} / {self.all}".replace("{window}", window)

    def burning(self) -> str:
        """Returns the query that holds while the errors of 30 days are being used up fast."""
        return " or ".join(
            f"({self.ratio(long)} > {factor} * {self.allowed:g} and {self.ratio(short)} > {factor} * {self.allowed:g})"
            for long, short, factor in (FAST, SLOW)
        )


def _calls(method: str, extra: str = "") -> str:
    return f'sum(rate(reelgate_rpc_total{{method=~"{method}"{extra}}}[{{window}}]))'


def _longer(histogram: str, seconds: str, matcher: str = "") -> tuple[str, str]:
    counted = f"sum(rate({histogram}_count{f'{{{matcher}}}' if matcher else ''}[{{window}}]))"
    within = ", ".join(filter(None, (matcher, f'le="{seconds}"')))
    return f"({counted} - sum(rate({histogram}_bucket{{{within}}}[{{window}}])))", counted


def _answered(*, alert: str, record: str, method: str, verb: str) -> Objective:
    return Objective(
        alert=alert,
        record=record,
        percent=99.9,
        promise=f"of the calls that {verb} do not fail by our fault",
        summary=f"Calls that {verb} fail",
        bad=_calls(method, f', code=~"{FAILURES}"'),
        all=_calls(method),
    )


def _within(
    *, alert: str, record: str, what: str, summary: str, histogram: str, seconds: str, matcher: str = ""
) -> Objective:
    bad, counted = _longer(histogram, seconds, matcher)
    unit = "1 second" if seconds == "1.0" else f"{seconds.removesuffix('.0')} seconds"
    return Objective(
        alert=alert,
        record=record,
        percent=99,
        promise=f"{what} within {unit}",
        summary=f"{summary} within {unit}",
        bad=bad,
        all=counted,
    )


OBJECTIVES = (
    _answered(alert="CreateErrors", record="create_errors", method=CREATE, verb="create jobs"),
    _answered(alert="PollErrors", record="poll_errors", method=POLL, verb="poll jobs"),
    Objective(
        alert="EdgeErrors",
        record="edge_errors",
        percent=99.9,
        promise="of all requests at the edge are not answered with a 5xx",
        summary="The edge answers requests with 5xx",
        bad='sum(rate(envoy_http_downstream_rq_xx{envoy_response_code_class="5"}[{window}]))',
        all="sum(rate(envoy_http_downstream_rq_xx[{window}]))",
    ),
    _within(
        alert="CreateSlow",
        record="create_slow",
        what="of the calls that create jobs are answered",
        summary="Too few calls that create jobs are answered",
        histogram="reelgate_rpc_seconds",
        seconds="1.0",
        matcher=f'method=~"{CREATE}"',
    ),
    _within(
        alert="PollSlow",
        record="poll_slow",
        what="of the polls without `wait` are answered",
        summary="Too few polls are answered",
        histogram="reelgate_rpc_seconds",
        seconds="0.25",
        matcher=f'method=~"{POLL}"',
    ),
    _within(
        alert="CompletionSlow",
        record="completion_slow",
        what="of the results that a provider has are visible to their customers",
        summary="Too few results become visible",
        histogram="reelgate_job_completion_lag_seconds",
        seconds="60.0",
    ),
    _within(
        alert="WebhookSlow",
        record="webhook_slow",
        what="of the events that a receiver takes at the first attempt are with it",
        summary="Too few events reach their receivers",
        histogram="reelgate_webhook_delay_seconds",
        seconds="30.0",
    ),
)
