"""The port that operators call."""

from collections.abc import Callable, Mapping
from functools import partial

from reelgate.admin.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from reelgate.admin.v1.job_admin_service_pb2_grpc import add_JobAdminServiceServicer_to_server
from reelgate.admin.v1.outbox_admin_service_pb2_grpc import add_OutboxAdminServiceServicer_to_server
from reelgate.admin.v1.report_service_pb2_grpc import add_ReportServiceServicer_to_server
from reelgate.admin.v1.retention_service_pb2_grpc import add_RetentionServiceServicer_to_server
from reelgate.admin.v1.route_admin_service_pb2_grpc import add_RouteAdminServiceServicer_to_server
from reelgate.admin.v1.verifier_service_pb2_grpc import add_VerifierServiceServicer_to_server

from services.common.audit.servicer import AUDIT_SERVICE, AuditServicer
from services.common.audit.store import SqlAuditLog
from services.common.postgres.database import Pool
from services.common.rpc.internal_port import inner_port
from services.common.rpc.server import Port
from services.common.tls.files import TlsFolder
from services.jobs.convert.events import render_event
from services.jobs.domain.catalogue import Catalogue
from services.jobs.media_links import Links, as_stored
from services.jobs.operations.hand_over_events import Teller
from services.jobs.operations.mend_job import Mender
from services.jobs.operations.routes import RouteOperations
from services.jobs.operations.unfinished_jobs import UnfinishedJobOperations
from services.jobs.ports import Holds, Ledger
from services.jobs.rpc.access import (
    JOB_ADMIN_SERVICE,
    OUTBOX_ADMIN_SERVICE,
    REPORT_SERVICE,
    RETENTION_SERVICE,
    ROUTE_ADMIN_SERVICE,
    VERIFIER_SERVICE,
)
from services.jobs.rpc.job_admin import JobAdminServicer
from services.jobs.rpc.outbox_admin import OutboxAdminServicer
from services.jobs.rpc.reports import ReportServicer
from services.jobs.rpc.retention import RetentionServicer
from services.jobs.rpc.route_admin import RouteAdminServicer
from services.jobs.rpc.verifier import VerifierServicer
from services.jobs.settings import JobsSettings
from services.jobs.store.endings import SqlEndings
from services.jobs.store.kept_days import SqlKeptDays
from services.jobs.store.margins import SqlMargins
from services.jobs.store.queue.controls import SqlControls
from services.jobs.store.refunds import SqlRefunds
from services.jobs.store.refused_events import SqlRefusedEvents
from services.jobs.store.repairs import SqlRepairs
from services.jobs.store.retention import SqlRetention
from services.jobs.store.routes import SqlRoutes
from services.jobs.store.verification import SqlRecords


def admin_port(
    settings: JobsSettings,
    pool: Pool,
    *,
    ledger: Ledger,
    holds: Holds,
    catalogue: Callable[[], Catalogue],
    notify: Callable[[], None],
    links: Links = as_stored,
    worths: Callable[[], Mapping[str, int]],
    tls: TlsFolder | None,
) -> Port:
    """Returns the port that operators call. `notify` wakes the workers, `worths` is that of reports."""
    records = SqlRecords(pool)
    routes = RouteOperations(catalogue=catalogue, states=SqlRoutes(pool), notify=notify)
    job_admin = JobAdminServicer(
        routes=routes,
        unfinished=UnfinishedJobOperations(controls=SqlControls(pool), notify=notify),
        refunds=SqlRefunds(pool),
        mender=Mender(records=records, holds=holds, ledger=ledger, repairs=SqlRepairs(pool), notify=notify),
    )
    outbox_admin = OutboxAdminServicer(
        events=SqlRefusedEvents(pool),
        teller=Teller(
            retention=SqlRetention(pool), endings=SqlEndings(pool), render_event=render_event, links=links
        ),
    )
    audit = AuditServicer(SqlAuditLog(pool))
    verifier = VerifierServicer(records=records, holds=holds)
    reports = ReportServicer(SqlMargins(pool), worths=worths)
    retention = RetentionServicer(SqlKeptDays(pool))
    operators = settings.operator_identities
    return inner_port(
        settings.admin_address,
        (
            (JOB_ADMIN_SERVICE, partial(add_JobAdminServiceServicer_to_server, job_admin), operators),
            (
                ROUTE_ADMIN_SERVICE,
                partial(add_RouteAdminServiceServicer_to_server, RouteAdminServicer(routes)),
                operators,
            ),
            (
                OUTBOX_ADMIN_SERVICE,
                partial(add_OutboxAdminServiceServicer_to_server, outbox_admin),
                operators,
            ),
            (AUDIT_SERVICE, partial(add_AuditServiceServicer_to_server, audit), operators),
            (REPORT_SERVICE, partial(add_ReportServiceServicer_to_server, reports), operators),
            (RETENTION_SERVICE, partial(add_RetentionServiceServicer_to_server, retention), operators),
            (VERIFIER_SERVICE, partial(add_VerifierServiceServicer_to_server, verifier), operators),
        ),
        tls=tls,
        reflection=settings.reflection,
    )
