"""Webhooks from a listener, posted on to an address here: none is lost, and those that were posted are not posted again."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from reelgate_client.cli import profiles
from reelgate_client.cli.exits import CommandError
from reelgate_client.errors import ConnectionFailedError, NotFoundError, RateLimitError, ServerError

FILE = "listeners.json"
WAIT_SECONDS = 30
PAGE = 100
FRESH_SECONDS = 120
"""How long a signature is used that was read. Verifiers refuse one that is older than 300 seconds."""
PAUSE_SECONDS_MAX = 8.0
EVENTS = {
    "seedancee2": ("video.generation.completed", "video.generation.failed"),
    "nextapi": ("job.queued", "job.running", "job.succeeded", "job.failed", "job.canceled"),
}
ALSO = "webhook_endpoint.disabled"
PASSING = (ConnectionFailedError, RateLimitError, ServerError)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One webhook, as it was read."""

    sequence: int
    event_id: str
    event_type: str
    created_at: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


Forward = Callable[[Webhook], int | None]
"""Posts a webhook on. Returns the status of the answer, TIMED_OUT, or None if nobody took it."""
Show = Callable[[Webhook, int | None], None]
"""Shows a webhook and what came of it. None: it was not posted on."""
TIMED_OUT = -1
STALE = -2
TARGET_SECONDS = 60.0
"""So long may somebody look at a webhook in a debugger."""


@dataclass(kw_only=True)
class Place:
    """A listener, and the last webhook of it that was dealt with."""

    name: str
    """Of the entry in the file: which key listens for which events."""
    id: str
    secret: str = field(repr=False)
    after: int = 0

    def keep(self) -> None:
        """Writes it down, so that another run goes on from here."""
        profiles.write(
            FILE,
            {**profiles.read(FILE), self.name: {"id": self.id, "secret": self.secret, "after": self.after}},
        )


class Listening:
    """Reads webhooks and hands each to `forward`, in order."""

    def __init__(
        self,
        client: Any,
        *,
        events: Sequence[str] = (),
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`events` are names or patterns; nothing stands for all."""
        self._client = client
        self._events = chosen(events, profiles.contract_of(client))
        self._say = say
        self._sleep = sleep
        self._monotonic = monotonic
        self._silent = False
        self.place = self._place()

    def run(self, forward: Forward | None, *, show: Show, most: int | None = None) -> None:
        """Deals with what comes, in order: posts it on, writes down that it was dealt with, and shows it.

        Goes on until `most` have been dealt with, or for ever.
        """
        count = 0
        while most is None or count < most:
            read_at = self._monotonic()
            for webhook in self._page():
                if self._monotonic() - read_at > FRESH_SECONDS:
                    break  # its signature has aged: it is read anew
                status = None if forward is None else self._deliver(webhook, forward)
                if status == STALE:
                    break
                self.place.after = webhook.sequence
                self.place.keep()
                show(webhook, status)
                count += 1
                if count == most:
                    break

    def go_back(self, since: datetime) -> None:
        """Continues with the first webhook that was accepted after a moment. The listener has those since it was made."""
        self.place.after = 0
        while page := self._page(wait=0):
            for webhook in page:
                if _moment(webhook.created_at) >= since:
                    return
                self.place.after = webhook.sequence

    def _deliver(self, webhook: Webhook, forward: Forward) -> int:
        """Posts a webhook on until somebody takes it. Returns the status; STALE when its signature has become too old."""
        started, pause = self._monotonic(), 0.25
        while (status := forward(webhook)) is None:
            if not self._silent:
                self._say("Nobody answers there. Waiting, nothing is lost …")
                self._silent = True
            if self._monotonic() - started > FRESH_SECONDS:
                return STALE
            self._sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)
        self._silent = False
        return status

    def _page(self, *, wait: int = WAIT_SECONDS) -> list[Webhook]:
        """Returns what comes next, through lost connections and, if need be, from a new listener."""
        failures = 0
        while True:
            found = self._tried(wait, is_first_failure=failures == 0)
            if found is not None:
                return found
            failures += 1
            self._sleep(min(0.25 * 2 ** min(failures, 6), PAUSE_SECONDS_MAX))

    def _tried(self, wait: int, *, is_first_failure: bool) -> list[Webhook] | None:
        try:
            found = self._client.webhook_listeners.read(
                self.place.id, after=self.place.after, wait=wait, limit=PAGE
            )
        except NotFoundError:
            self._say(
                "The listener has ended, because nobody read it for too long. What happened since it was last read is not"
                " here; what happens from now on is."
            )
            self.place = self._made()
            return []
        except PASSING as error:
            if is_first_failure:
                self._say(f"Connection lost ({error.message}). Trying again, nothing is lost …")
            return None
        return [_webhook(each) for each in found]

    def _place(self) -> Place:
        name = self._name()
        kept = profiles.read(FILE).get(name)
        return self._made() if kept is None else Place(name=name, **kept)

    def _made(self) -> Place:
        made = self._client.webhook_listeners.create(events=list(self._events))
        place = Place(name=self._name(), id=made["id"], secret=made["secret"])
        place.keep()
        return place

    def _name(self) -> str:
        core = self._client.core
        whose = hashlib.sha256(f"{core.base_url} {core.api_key}".encode()).hexdigest()[:16]
        return f"{whose} {' '.join(self._events)}"


def chosen(patterns: Sequence[str], contract: str) -> tuple[str, ...]:
    """Returns the events that patterns name, such as `job.*`. Raises CommandError for one that names none."""
    known = (*EVENTS[contract], ALSO)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise CommandError(f"There is no event {pattern!r}; there are: {', '.join(known)}")
    return tuple(name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns))


def forwarder(url: str, http: Any) -> Forward:
    """Returns what posts webhooks to an address, as they would have come."""
    import httpx2

    def forward(webhook: Webhook) -> int | None:
        with contextlib.suppress(httpx2.RequestError):
            try:
                answer = http.post(
                    url, content=webhook.body, headers=dict(webhook.headers), timeout=TARGET_SECONDS
                )
            except httpx2.ReadTimeout:
                return TIMED_OUT
            return int(answer.status_code)
        return None

    return forward


def secrets_kept() -> list[str]:
    """Returns the secrets of all listeners that were used here."""
    return [place["secret"] for place in profiles.read(FILE).values()]


def as_json(webhook: Webhook, status: int | None) -> dict[str, Any]:
    """Returns a webhook for programs: `webhooks verify` takes it."""
    return {
        "sequence": webhook.sequence,
        "event_id": webhook.event_id,
        "event_type": webhook.event_type,
        "created_at": webhook.created_at,
        **({} if status is None else {"forwarded": status}),
        "headers": dict(webhook.headers),
        "body": webhook.body.decode(),
    }


def job_id(webhook: Webhook) -> str:
    """Returns which video a webhook is about; nothing if that is not said."""
    try:
        return str(json.loads(webhook.body)["data"]["id"])
    except (ValueError, LookupError, TypeError):
        return ""


def _webhook(found: Mapping[str, Any]) -> Webhook:
    return Webhook(
        sequence=found["sequence"],
        event_id=found["event_id"],
        event_type=found["event_type"],
        created_at=found["created_at"],
        headers={each["name"]: each["value"] for each in found["headers"]},
        body=found["body"].encode(),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@contextlib.contextmanager
def alone(place: Place) -> Iterator[None]:
    """Keeps the place for this process while the block runs. Raises CommandError if another one has it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with (profiles.folder() / f"{place.id}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                "Another `webhooks listen` with this key and these events runs already"
            ) from None
        yield
