"""What jobs tells of itself beside what every process does."""

from services.common.telemetry.metrics import JOBS_WORKER, LONG_SECONDS, counter, gauge, histogram
from services.jobs.domain.states import State

_ENDED = counter(
    "reelgate_jobs_ended_total",
    "Jobs that ended, as their customers see them.",
    labels=("outcome",),
    of=(JOBS_WORKER,),
)
JOB_ENDED = {outcome: _ENDED.labels(outcome) for outcome in ("completed", "failed")}
_UNFINISHED = gauge(
    "reelgate_jobs",
    "Unfinished jobs by state; one that is `waiting` is pending and has no place at a provider yet.",
    labels=("state",),
    of=(JOBS_WORKER,),
)
WAITING = "waiting"
UNFINISHED = {state: _UNFINISHED.labels(state) for state in (*State, WAITING)}
CREDENTIAL_OUT = gauge(
    "reelgate_credential_out",
    "1 while a credential of a provider is out of use, because the provider refused its key (`credential`) or the account"
    " has nothing left (`quota`); 0 when it is back.",
    labels=("credential", "reason"),
    of=(JOBS_WORKER,),
)
COMPLETION_LAG = histogram(
    "reelgate_job_completion_lag_seconds",
    "From when the provider had a result until its customer saw the job completed. If the worker that was told died"
    " or failed, it is from when the result was stored.",
    bounds=LONG_SECONDS,
    of=(JOBS_WORKER,),
)
