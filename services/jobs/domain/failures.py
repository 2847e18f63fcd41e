"""Why jobs fail, and what their customers are told."""

from dataclasses import dataclass
from enum import StrEnum


class FailureCode(StrEnum):
    """Why a job failed, as its customer sees it. The values are the contract's."""

    GENERATION_FAILED = "generation_failed"
    INPUT_MEDIA_ERROR = "input_media_error"
    CONTENT_POLICY_VIOLATION = "content_policy_violation"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


FAILURE_MESSAGE = {
    FailureCode.GENERATION_FAILED: (
        "The video could not be generated. Please try again with a different prompt."
    ),
    FailureCode.INPUT_MEDIA_ERROR: (
        "A reference file could not be used. Check that every address is public and its format is supported."
    ),
    FailureCode.CONTENT_POLICY_VIOLATION: (
        "The request or its result is against the content policy. Change the prompt or the reference files."
    ),
    FailureCode.TIMEOUT: "The video was not ready in time. Please try again.",
    FailureCode.CANCELLED: "The job was cancelled at your request.",
}
assert FAILURE_MESSAGE.keys() == set(FailureCode)


@dataclass(frozen=True, kw_only=True)
class UnusableReference:
    """What is known of the file that a job failed for."""

    fields: tuple[str, ...]
    """Where it stands in the request, as its sender named it: one place, or all that it can be."""
    fault: str
    """A key of REFERENCE_MESSAGE."""


REFERENCE_MESSAGE = {
    "not_fetched": "could not be downloaded. Check that its address is public and answers with the file.",
    "not_readable": "could not be read. Check that it is a file of a supported format.",
    "out_of_bounds": "is outside of what the model takes. Check its size, shape and length.",
    "unknown": "could not be used. Check that its address is public and its format is supported.",
}
"""What is wrong with a reference, after the name of its field."""
