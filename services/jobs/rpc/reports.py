"""Reports on the wire, for operators."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from grpc.aio import ServicerContext
from reelgate.admin.v1 import report_service_pb2 as pb
from reelgate.admin.v1.report_service_pb2_grpc import ReportServiceServicer
from typing_extensions import override

from services.common.errors import invalid_field
from services.common.paging import cut, page_size
from services.common.rpc.enums import text_of
from services.jobs.domain.margins import Margin, MarginKey
from services.jobs.store.margins import SqlMargins, WorthlessCreditError

Context = ServicerContext[Any, Any]
KEYS: Final = {"model": MarginKey.MODEL, "provider": MarginKey.PROVIDER, "account": MarginKey.ACCOUNT}
_TOKEN = "after:"  # noqa: S105  so that the token after an empty key is not empty


class ReportServicer(ReportServiceServicer):
    """What jobs brought in, and what they cost."""

    def __init__(self, margins: SqlMargins, *, worths: Callable[[], Mapping[str, int]]) -> None:
        """`worths` returns what a credit of each contract is worth now, in millionths of a dollar."""
        self._margins = margins
        self._worths = worths

    @override
    async def ReportMargin(
        self, request: pb.ReportMarginRequest, context: Context
    ) -> pb.ReportMarginResponse:
        since, until = _day("since", request.since), _day("until", request.until)
        if until < since:
            raise invalid_field("until", f"must not be before {request.since}", request.until)
        size = page_size(request.page_size)
        try:
            found = await self._margins.report(
                KEYS[text_of(pb.MarginKey.DESCRIPTOR, request.by)],
                since=since,
                until=until,
                worths=self._worths(),
                after=request.page_token.removeprefix(_TOKEN) if request.page_token else None,
                limit=size + 1,
            )
        except WorthlessCreditError as error:
            rule = f"is not known: write credit_value_usd: {{{error.contract}: ...}} into the catalogue"
            raise invalid_field(f"credit_value_usd.{error.contract}", rule) from error
        page, token = cut(found, size, lambda margin: _TOKEN + margin.key)
        return pb.ReportMarginResponse(lines=map(_render, page), next_page_token=token)


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise invalid_field(field, "must be a day, such as 2026-06-01", text) from error


def _render(margin: Margin) -> pb.MarginLine:
    return pb.MarginLine(
        key=margin.key,
        completed_jobs=margin.completed_jobs,
        failed_jobs=margin.failed_jobs,
        revenue_microdollars=margin.revenue_micros,
        cost_microdollars=margin.cost_micros,
    )
