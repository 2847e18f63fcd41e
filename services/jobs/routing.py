"""In which order the routes of a job are tried: by priority, and within one by weight."""

import math
import struct
from collections.abc import Callable, Sequence
from hashlib import shake_128

from services.jobs.domain.catalogue import Catalogue
from services.jobs.domain.claims import Candidate
from services.jobs.domain.job import Job
from services.jobs.domain.routes import Choice, Credential

_NUMBER_BYTES = 8
_NUMBERS = 2.0 ** (8 * _NUMBER_BYTES)


def preferred(choices: Sequence[Choice], attempt_id: str) -> list[Choice]:
    """Returns routes in the order in which an attempt tries them: lower priorities first, within one by lot.

    The chance of a route to come first in its priority is its share of the weights. The lot is drawn from the attempt's id
    and the order of the choices, so the same attempt always gets the same order.
    """
    if len(choices) == 1:
        return list(choices)
    digest = shake_128(attempt_id.encode()).digest(_NUMBER_BYTES * len(choices))
    drawn = struct.unpack(f">{len(choices)}Q", digest)
    log = math.log
    # The least of exponential waits, each at the rate of its weight.
    placed = [
        (choice.priority, -log((number + 1) / _NUMBERS) / choice.weight, place)
        for place, (choice, number) in enumerate(zip(choices, drawn, strict=True))
    ]
    placed.sort()
    return [choices[place] for _, _, place in placed]


class Chooser:
    """Says which routes may render a job, by the catalogue that is in force."""

    def __init__(self, catalogue: Callable[[], Catalogue]) -> None:
        self._in_force = catalogue
        self._known: Catalogue | None = None
        self._candidates: dict[tuple[str, str, int], Candidate] = {}

    def candidates(self, job: Job, attempt_id: str) -> list[Candidate]:
        """Returns the routes that have everything that a job asks, in the order in which an attempt tries them."""
        catalogue = self._in_force()
        if catalogue is not self._known:
            self._known, self._candidates = catalogue, {}
        able = catalogue.choices(job.model, job.owner, job.input.asked(names_seed=job.names_seed))
        resolution, seconds = job.input.resolution, job.input.duration_seconds
        found = []
        for choice in preferred(able, attempt_id):
            key = (choice.route.name, resolution, seconds)
            candidate = self._candidates.get(key)
            if candidate is None:
                credential = catalogue.credentials.get(choice.route.credential)
                candidate = self._candidates[key] = _candidate(choice, credential, resolution, seconds)
            found.append(candidate)
        return found


def _candidate(choice: Choice, credential: Credential | None, resolution: str, seconds: int) -> Candidate:
    route = choice.route
    return Candidate(
        route=route.name,
        provider=route.provider,
        upstream_model=route.upstream_model,
        credential=route.credential,
        keys=credential.keys if credential else (route.credential,),
        jobs_at_once=credential.jobs_at_once if credential else None,
        requests_per_minute=credential.requests_per_minute if credential else None,
        quoted_micros=route.cost_micros_per_second[resolution] * seconds,
    )
