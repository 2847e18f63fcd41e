"""What a provider's refusal means to a customer."""

from services.jobs.domain.failures import REFERENCE_MESSAGE, FailureCode, UnusableReference
from services.jobs.domain.job import Job
from services.upstream.provider import ReferenceFault, RefusalKind, Refused

_FAILURE_BY_KIND = {
    RefusalKind.PARAMETERS: FailureCode.GENERATION_FAILED,
    RefusalKind.CONTENT: FailureCode.CONTENT_POLICY_VIOLATION,
    RefusalKind.INPUT_MEDIA: FailureCode.INPUT_MEDIA_ERROR,
    RefusalKind.EXPIRED: FailureCode.TIMEOUT,
    RefusalKind.UNAVAILABLE: FailureCode.GENERATION_FAILED,
    RefusalKind.FAILED: FailureCode.GENERATION_FAILED,
}
assert _FAILURE_BY_KIND.keys() == set(RefusalKind)
assert REFERENCE_MESSAGE.keys() == set(ReferenceFault)
CUSTOMERS_OWN = frozenset({RefusalKind.PARAMETERS, RefusalKind.CONTENT, RefusalKind.INPUT_MEDIA})
"""What no other provider is asked to render: the customer must change it."""


def failure_of(refused: Refused) -> FailureCode:
    """Returns the code the customer sees."""
    return _FAILURE_BY_KIND[refused.kind]


def unusable_of(refused: Refused, job: Job) -> UnusableReference | None:
    """Returns what the customer is told about the file that a provider could not use. None: nothing is known about it."""
    if refused.kind is not RefusalKind.INPUT_MEDIA:
        return None
    said, fields = refused.reference, job.reference_fields
    if said.position is not None and said.position < len(fields):
        fields = (fields[said.position],)
    elif said.is_image:
        fields = tuple(field for field in fields if "image" in field)
    return UnusableReference(fields=fields, fault=said.fault) if fields else None
