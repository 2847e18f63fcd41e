"""Webhooks on a laptop: none is lost and none comes twice, however often connections are cut or the command is stopped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from reelgate_client import Seedancee2
from reelgate_client.cli import profiles
from reelgate_client.cli.exits import CommandError
from reelgate_client.cli.hooks import moment
from reelgate_client.cli.listening import FRESH_SECONDS, Listening, Webhook, alone, chosen, forwarder

from tests.unit.clients.command_line.api import Api, webhook
from tests.unit.clients.command_line.conftest import KEY
from tests.unit.clients.python.service import LOST, Reply, running_service

EVENTS = 1_000
RECONNECTS = 25


class Bench:
    """Listens with a clock that goes on only when somebody sleeps."""

    def __init__(self, api: Api, client: Any) -> None:
        self.api = api
        self.client = client
        self.now = 0.0
        self.said: list[str] = []
        client.core.driver.sleep = self._sleep_soon

    def listening(self, events: tuple[str, ...] = ()) -> Listening:
        return Listening(
            self.client, events=events, say=self.said.append, sleep=self.sleep, monotonic=lambda: self.now
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def _sleep_soon(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def bench(api: Api, environment: dict[str, str]) -> Iterator[Bench]:
    with Seedancee2(KEY, base_url=api.url, max_retries=0) as client:
        yield Bench(api, client)


@contextmanager
def _target(*replies: Reply) -> Iterator[tuple[Callable[[Webhook], int | None], list[str]]]:
    """Yields what posts to a customer's program, and which webhooks that has taken."""
    import httpx2

    taken: list[str] = []
    left = list(replies)
    with running_service() as service, httpx2.Client() as http:

        def answer(request: Any) -> Reply:
            reply = left.pop(0) if left else Reply(204, b"")
            if reply is not LOST:
                taken.append(request.headers["webhook-id"])
            return reply

        service.replies = [answer]
        yield forwarder(f"{service.url}/hook", http), taken


def test_a_thousand_webhooks_arrive_once_each_over_cut_connections(bench: Bench) -> None:
    bench.api.webhooks = [webhook(number) for number in range(1, EVENTS + 1)]
    asked = 0

    def cut() -> bool:
        nonlocal asked
        asked += 1
        return asked % 4 != 0 and asked <= RECONNECTS * 4 // 3

    bench.api.cut = cut
    with _target() as (forward, taken):
        bench.listening().run(forward, show=lambda *_: None, most=EVENTS)

    reads = [each for each in bench.api.asked if each.method == "GET"]
    assert len(reads) >= RECONNECTS + EVENTS // 100
    assert taken == [f"evt_{number}" for number in range(1, EVENTS + 1)]


def test_another_run_goes_on_with_the_next_one_and_the_same_secret(bench: Bench) -> None:
    bench.api.webhooks = [webhook(number) for number in range(1, 8)]

    with _target() as (forward, taken):
        first = bench.listening()
        first.run(forward, show=lambda *_: None, most=3)
        second = bench.listening()
        second.run(forward, show=lambda *_: None, most=4)

    assert taken == [f"evt_{number}" for number in range(1, 8)]
    assert first.place.secret == second.place.secret
    assert bench.api.listeners == 1


def test_a_target_that_does_not_answer_gets_it_when_it_does(bench: Bench) -> None:
    bench.api.webhooks = [webhook(1), webhook(2)]

    with _target(LOST, LOST) as (forward, taken):
        bench.listening().run(forward, show=lambda *_: None, most=2)

    assert taken == ["evt_1", "evt_2"]
    assert [text for text in bench.said if "Nobody answers" in text]


def test_what_a_target_refuses_is_shown_and_not_repeated(bench: Bench) -> None:
    bench.api.webhooks = [webhook(1), webhook(2)]
    shown: list[tuple[int, int | None]] = []

    with _target(Reply(500, b"")) as (forward, taken):
        bench.listening().run(
            forward, show=lambda each, status: shown.append((each.sequence, status)), most=2
        )

    assert shown == [(1, 500), (2, 204)]
    assert taken == ["evt_1", "evt_2"]


def test_a_signature_that_has_aged_is_fetched_anew(bench: Bench) -> None:
    bench.api.webhooks = [webhook(1)]
    answers: list[int | None] = [None] * 40

    def forward(_: Webhook) -> int | None:
        return answers.pop() if bench.now <= FRESH_SECONDS * 2 else 200

    bench.listening().run(forward, show=lambda *_: None, most=1)

    assert len([each for each in bench.api.asked if each.method == "GET"]) > 1


def test_a_listener_that_has_ended_is_replaced_and_that_is_said(bench: Bench) -> None:
    bench.api.webhooks = [webhook(1)]
    listening = bench.listening()
    listening.place.after = 7
    bench.api.listeners += 1
    bench.api.webhooks = [webhook(1)]
    shown: list[int] = []

    listening.run(None, show=lambda each, _: shown.append(each.sequence), most=1)

    assert shown == [1]
    assert "has ended" in bench.said[0]
    assert listening.place.id == "whl_3"


def test_since_begins_again_with_the_first_one_after_that(bench: Bench) -> None:
    times = ["2026-11-28T20:00:00.000Z", "2026-11-28T21:00:00.000Z", "2026-11-28T22:00:00.000Z"]
    bench.api.webhooks = [webhook(number, created_at=at) for number, at in enumerate(times, start=1)]
    listening = bench.listening()
    listening.run(None, show=lambda *_: None, most=3)
    shown: list[int] = []

    listening.go_back(moment("2026-11-28T20:30:00Z"))
    listening.run(None, show=lambda each, _: shown.append(each.sequence), most=2)

    assert shown == [2, 3]


def test_two_at_a_time_do_not_share_a_place(bench: Bench) -> None:
    listening = bench.listening()

    with alone(listening.place), pytest.raises(CommandError, match="runs already"), alone(listening.place):
        pass


def test_events_are_named_by_patterns() -> None:
    assert chosen(["job.s*", "job.failed"], "nextapi") == ("job.succeeded", "job.failed")
    assert chosen([], "nextapi") == ()


def test_a_place_is_kept_for_its_owner_only(bench: Bench) -> None:
    bench.listening()

    assert (profiles.folder() / "listeners.json").stat().st_mode & 0o077 == 0


def test_the_command_forwards_and_shows_lines_of_json(command: Any, api: Api) -> None:
    api.webhooks = [webhook(1)]
    with running_service() as target:
        target.replies = [Reply(204, b"")]
        outcome = command("webhooks", "listen", "--forward-to", target.url, "--limit", "1")
        secret = command("webhooks", "listen", "--print-secret")

        assert outcome.exit_code == 0, outcome.stderr
        assert target.received[0].headers["webhook-id"] == "evt_1"
        assert target.received[0].body == webhook(1)["body"].encode()
    assert '"forwarded":204' in outcome.stdout
    assert secret.stdout == "whsec_1\n"
