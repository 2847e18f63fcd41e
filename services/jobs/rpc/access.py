"""Who may call which public service."""

from collections.abc import Mapping

from services.common.auth.authentication import OPEN_TO_ALL
from services.common.rpc.server import OPEN_SERVICES

VIDEO_SERVICE = "reelgate.video.v1.VideoService"
JOB_SERVICE = "reelgate.nextapi.v1.JobService"
MODELS_SERVICE = "reelgate.models.v1.ModelsService"
UPLOAD_SERVICE = "reelgate.uploads.v1.UploadService"
USAGE_SERVICE = "reelgate.usage.v1.UsageService"
CALLBACK_SERVICE = "reelgate.callback.v1.CallbackService"
JOB_ADMIN_SERVICE = "reelgate.admin.v1.JobAdminService"
ROUTE_ADMIN_SERVICE = "reelgate.admin.v1.RouteAdminService"
OUTBOX_ADMIN_SERVICE = "reelgate.admin.v1.OutboxAdminService"
REPORT_SERVICE = "reelgate.admin.v1.ReportService"
RETENTION_SERVICE = "reelgate.admin.v1.RetentionService"
VERIFIER_SERVICE = "reelgate.admin.v1.VerifierService"

PUBLIC_ACCESS: Mapping[str, frozenset[str]] = {
    VIDEO_SERVICE: frozenset({"seedancee2"}),
    JOB_SERVICE: frozenset({"nextapi"}),
    MODELS_SERVICE: frozenset({"seedancee2"}),
    UPLOAD_SERVICE: frozenset({"seedancee2", "nextapi"}),
    USAGE_SERVICE: frozenset({"seedancee2"}),
    CALLBACK_SERVICE: OPEN_TO_ALL,
    **dict.fromkeys(OPEN_SERVICES, OPEN_TO_ALL),
}
"""Which contracts' keys may call which service of the public port."""
