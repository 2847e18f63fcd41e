"""What operators ask about the business as a whole. Every function raises ServiceError."""

from collections.abc import Sequence

from reelgate.admin.v1 import report_service_pb2 as pb
from reelgate.admin.v1.report_service_pb2_grpc import ReportServiceStub

from services.cli.admin.channel import call
from services.cli.admin.target import AdminTarget
from services.common.rpc.enums import value_of

PAGE_SIZE = 1_000


async def margin(*, by: str, since: str, until: str, jobs: AdminTarget) -> Sequence[pb.MarginLine]:
    """Returns revenue and cost of the UTC days from `since` to `until`, a line for each model, provider or account."""
    lines: list[pb.MarginLine] = []
    request = pb.ReportMarginRequest(
        by=value_of(pb.MarginKey.DESCRIPTOR, by), since=since, until=until, page_size=PAGE_SIZE
    )
    while True:
        page = await call(jobs, lambda channel: ReportServiceStub(channel).ReportMargin, request)
        lines += page.lines
        if not page.next_page_token:
            return lines
        request.page_token = page.next_page_token
