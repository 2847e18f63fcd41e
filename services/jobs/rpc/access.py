"""Who may call which public service, and on whose behalf."""

from collections.abc import Mapping

from services.common.auth.authentication import OPEN_TO_ALL, caller
from services.common.rpc.server import OPEN_SERVICES
from services.jobs.domain import (
    Buyer,
    Caps,
    Owner,
)

VIDEO_SERVICE = "reelgate.video.v1.VideoService"
JOB_SERVICE = "reelgate.nextapi.v1.JobService"
MODELS_SERVICE = "reelgate.models.v1.ModelsService"
USAGE_SERVICE = "reelgate.usage.v1.UsageService"
CALLBACK_SERVICE = "reelgate.callback.v1.CallbackService"
JOB_ADMIN_SERVICE = "reelgate.admin.v1.JobAdminService"
OUTBOX_ADMIN_SERVICE = "reelgate.admin.v1.OutboxAdminService"
VERIFIER_SERVICE = "reelgate.admin.v1.VerifierService"

PUBLIC_ACCESS: Mapping[str, frozenset[str]] = {
    VIDEO_SERVICE: frozenset({"seedancee2"}),
    JOB_SERVICE: frozenset({"nextapi"}),
    MODELS_SERVICE: frozenset({"seedancee2"}),
    USAGE_SERVICE: frozenset({"seedancee2"}),
    CALLBACK_SERVICE: OPEN_TO_ALL,
    **dict.fromkeys(OPEN_SERVICES, OPEN_TO_ALL),
}
"""Which contracts' keys may call which service of the public port."""


def owner() -> Owner:
    """Returns the owner that the caller's key belongs to. Only inside an authenticated method."""
    found = caller()
    return Owner(account_id=found.account_id, environment=found.environment, contract=found.contract)


def buyer() -> Buyer:
    """Returns that owner with its key. Only inside an authenticated method."""
    found = caller()
    caps = Caps(account_jobs=found.account_jobs_at_once, key_jobs=found.key_jobs_at_once)
    return Buyer(
        owner=owner(),
        key_id=found.key_id,
        models_allowed=found.models,
        caps=caps,
        moderation_profile=found.moderation_profile,
        moderation_profiles=found.moderation_profiles,
    )
