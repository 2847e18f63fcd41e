"""What jobs refuses, and the sentence that says so."""

from collections.abc import Sequence

from services.common.errors import Reason, ServiceError
from services.common.money import in_credits
from services.jobs.domain.states import State, Status
from services.jobs.domain.uploads import UploadQuota

FULL_RETRY_SECONDS = 5
"""Few tasks end sooner."""
WATCH_RETRY_SECONDS = 2
CANCEL_RETRY_SECONDS = 3
NAME_LENGTH_SHOWN_MAX = 64


def job_limit_reached(unfinished_max: int) -> ServiceError:
    """Returns the refusal of a job of an account that has as many unfinished ones as it may."""
    return ServiceError(
        Reason.JOB_LIMIT_REACHED,
        f"An account may have {unfinished_max} unfinished tasks in an environment, and this one has."
        f" Try again in {FULL_RETRY_SECONDS} seconds, or when some have ended.",
        retry_after_seconds=str(FULL_RETRY_SECONDS),
    )


def job_late() -> ServiceError:
    """Returns the refusal of a job that took too long to accept."""
    return ServiceError(Reason.UNAVAILABLE, "The task could not be accepted in time. Please try again.")


def job_not_found(job_id: str) -> ServiceError:
    """Returns the refusal of an id that names none of the caller's jobs."""
    return ServiceError(Reason.JOB_NOT_FOUND, f'There is no task "{job_id}".', job_id=job_id)


def job_ended(job_id: str, status: Status) -> ServiceError:
    """Returns the refusal to change a job that has ended."""
    return ServiceError(Reason.JOB_ENDED, f"Job {job_id} has ended: it is {status}.", job_id=job_id)


def job_unfinished(job_id: str, status: Status) -> ServiceError:
    """Returns the refusal to delete a job that has not ended."""
    message = f"Job {job_id} has not ended: it is {status}. Cancel it first, or delete it when it has ended."
    return ServiceError(Reason.JOB_UNFINISHED, message, job_id=job_id)


def job_completed(job_id: str) -> ServiceError:
    """Returns the refusal to settle a completed job as failed."""
    message = f"Job {job_id} is completed, and its customer has the video. Its credits can be refunded."
    return ServiceError(Reason.JOB_ENDED, message, job_id=job_id)


def job_stored(job_id: str, *, advice: str = "") -> ServiceError:
    """Returns the refusal to stop a job that is about to complete."""
    message = f"The result of job {job_id} is stored: it is about to complete.{advice}"
    return ServiceError(Reason.JOB_STORED, message, job_id=job_id)


def job_without_result(job_id: str) -> ServiceError:
    """Returns the refusal to settle a job as completed that has nothing to deliver."""
    message = f"Job {job_id} has no result that could be delivered. It can be settled as failed."
    return ServiceError(Reason.JOB_NOT_COMPLETED, message, job_id=job_id)


def job_renders(job_id: str) -> ServiceError:
    """Returns the refusal to cancel a job that the provider renders."""
    message = f"Job {job_id} is being rendered: the provider can no longer stop it."
    return ServiceError(Reason.JOB_NOT_CANCELABLE, message, job_id=job_id)


def job_not_cancelled(job_id: str, state: State | None) -> ServiceError:
    """Returns the refusal of a cancellation that had to wait for too long."""
    facts = {"job_id": job_id, "retry_after_seconds": str(CANCEL_RETRY_SECONDS)}
    if state is State.SUBMITTING:
        message = f"Job {job_id} is being handed to a provider. Try again in a few seconds."
        return ServiceError(Reason.JOB_NOT_CANCELABLE, message, **facts)
    message = f"Job {job_id} is about to end, and its credits could not be given back yet. Try again."
    return ServiceError(Reason.UNAVAILABLE, message, **facts)


def provider_not_asked(job_id: str) -> ServiceError:
    """Returns the refusal of a cancellation while the provider does not answer."""
    message = f"Whether job {job_id} can still be stopped could not be found out. It goes on. Try again."
    return ServiceError(
        Reason.UNAVAILABLE, message, job_id=job_id, retry_after_seconds=str(CANCEL_RETRY_SECONDS)
    )


def callback_not_judged() -> ServiceError:
    """Returns the answer to a callback of which it could not be found out who sent it."""
    return ServiceError(Reason.UNAVAILABLE, "The callback cannot be checked at the moment. Send it again.")


def model_not_found(name: str, *, usable: Sequence[str]) -> ServiceError:
    """Returns the refusal of a model that is not one of those the key could use."""
    shown = name[:NAME_LENGTH_SHOWN_MAX]
    advice = f"Use one of: {', '.join(usable)}." if usable else "This key has none that it could use."
    return ServiceError(Reason.MODEL_NOT_FOUND, f'There is no model "{shown}". {advice}', model=shown)


def content_refused(category: str) -> ServiceError:
    """Returns the refusal of a prompt. It names the category, never the rule."""
    return ServiceError(
        Reason.CONTENT_REFUSED,
        f"The prompt was refused: category {category}. Change it and try again.",
        category=category,
    )


def too_many_watched() -> ServiceError:
    """Returns the refusal to follow one job too many."""
    return ServiceError(
        Reason.UNAVAILABLE,
        "Too many tasks are being watched at the moment. Poll, or try again.",
        retry_after_seconds=str(WATCH_RETRY_SECONDS),
    )


def refund_of_unfinished(refund_id: str, job_id: str) -> ServiceError:
    """Returns the refusal to refund a job that is not completed."""
    message = f"Job {job_id} is not completed: it was charged nothing that could be refunded."
    return ServiceError(Reason.JOB_NOT_COMPLETED, message, refund_id=refund_id, job_id=job_id)


def refund_mismatch(refund_id: str, job_id: str) -> ServiceError:
    """Returns the refusal of a refund id that stands for something else."""
    message = f"Refund {refund_id} was already made for another job or amount."
    return ServiceError(Reason.REFUND_MISMATCH, message, refund_id=refund_id, job_id=job_id)


def refund_above_charge(refund_id: str, job_id: str, *, left_micros: int) -> ServiceError:
    """Returns the refusal to refund more than is left of what a job was charged."""
    message = f"Of what job {job_id} was charged, {in_credits(left_micros)} credits can still be refunded."
    facts = {"left_micros": str(left_micros), "refund_id": refund_id, "job_id": job_id}
    return ServiceError(Reason.REFUND_ABOVE_CHARGE, message, **facts)


def event_not_refused(event_id: str) -> ServiceError:
    """Returns the refusal to retry an event that does not wait."""
    return ServiceError(
        Reason.EVENT_NOT_FOUND,
        f'There is no refused event "{event_id}": it was handed over, or never refused.',
        event_id=event_id,
    )


def upload_not_found(upload_id: str) -> ServiceError:
    """Returns the refusal of an id that names none of the caller's uploads."""
    shown = upload_id[:NAME_LENGTH_SHOWN_MAX]
    return ServiceError(Reason.UPLOAD_NOT_FOUND, f'There is no upload "{shown}".', upload_id=shown)


def upload_limit_reached(quota: UploadQuota, *, count: int, byte_count: int) -> ServiceError:
    """Returns the refusal of an upload of an account that has as many, or as much, as it may have."""
    return ServiceError(
        Reason.UPLOAD_LIMIT_REACHED,
        f"An account may have {quota.count_max} uploads with {quota.byte_count_max} bytes in an environment; this one"
        f" has {count} with {byte_count} bytes. Delete some with DELETE /v1/uploads/{{id}}, and announce size_bytes.",
    )


def uploads_closed() -> ServiceError:
    """Returns the refusal of uploads where there is no place for files."""
    return ServiceError(
        Reason.UNAVAILABLE, "Uploads are not offered here. Name files by http or https addresses instead."
    )
