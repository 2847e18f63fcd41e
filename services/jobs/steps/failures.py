"""What a provider's refusal means to a customer."""

from services.jobs.domain import (
    FailureCode,
)
from services.upstream.contract import RefusalKind, Refused

_FAILURE_BY_KIND = {
    RefusalKind.PARAMETERS: FailureCode.GENERATION_FAILED,
    RefusalKind.CONTENT: FailureCode.CONTENT_POLICY_VIOLATION,
    RefusalKind.INPUT_MEDIA: FailureCode.INPUT_MEDIA_ERROR,
    RefusalKind.EXPIRED: FailureCode.TIMEOUT,
    RefusalKind.FAILED: FailureCode.GENERATION_FAILED,
}
assert _FAILURE_BY_KIND.keys() == set(RefusalKind)


def failure_of(refused: Refused) -> FailureCode:
    """Returns the code the customer sees."""
    return _FAILURE_BY_KIND[refused.kind]
