"""Jobs that wait for a route, in SQL."""

from collections.abc import Mapping, Sequence

from services.common.postgres.database import Pool, fetch
from services.jobs.domain.routes import SIMULATOR, Credential
from services.jobs.store.queue.moving import items_to_json
from services.jobs.store.queue.placing import CALL_UP, credential_items

CALLED_MAX = 200
"""Jobs in one turn for which a credential without a limit has room."""
_UNLIMITED = Credential(
    name=SIMULATOR,
    provider=SIMULATOR,
    base_url="",
    keys=(SIMULATOR,),
    jobs_at_once=None,
    requests_per_minute=None,
)


class SqlParked:
    """Jobs for which no route had room."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._last = ("", "")

    async def call_up(
        self, credentials: Sequence[Credential], *, credential_by_route: Mapping[str, str]
    ) -> int:
        """Makes as many of them due as there is room for by now; accounts take turns. Returns how many."""
        environment, account = self._last
        [row] = await fetch(
            self._pool,
            CALL_UP,
            credentials=items_to_json(
                credential_items((*credentials, _UNLIMITED), {SIMULATOR: SIMULATOR, **credential_by_route})
            ),
            most=CALLED_MAX,
            after_environment=environment,
            after_account=account,
        )
        self._last = (row["turn_environment"] or "", row["turn_account"] or "")
        return int(row["called"])
