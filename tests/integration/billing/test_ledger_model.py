"""Whatever is asked of the ledger, one call after another or several at once, it does what its model does."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import MakeDatabase
from tests.integration.billing.books import broken_rules
from tests.integration.billing.model import LIMIT_PERIODS, Act, Answer, Model, State
from tests.integration.billing.world import World, open_world

SOAK_HISTORIES = int(os.environ.get("LEDGER_SOAK_HISTORIES", "0"))
"""So many histories that no run had before. Without it a few, the same at every run."""
HISTORIES, STEPS = 15, 40
AT_ONCE_MAX = 8

ACCOUNTS = ("rich", "poor")
KEYS = {"key_1": "rich", "key_2": "rich", "key_3": "poor"}
WELCOME: Act = ("give", "grant", "welcome", "rich", 12)
JOB = st.sampled_from([f"job_{number}" for number in range(8)])
GIFT = st.sampled_from([f"gift_{number}" for number in range(4)])
AMOUNT = st.integers(1, 3)
"""Small, as are balances and limits: so they are often just enough, or short of one."""
HOLD: st.SearchStrategy[Act] = st.one_of(
    st.tuples(st.just("hold"), JOB, st.just("rich"), st.sampled_from(["key_1", "key_2"]), AMOUNT),
    st.tuples(st.just("hold"), JOB, st.sampled_from(ACCOUNTS), st.sampled_from([None, *KEYS]), AMOUNT),
)
CHANGE: st.SearchStrategy[Act] = st.one_of(
    st.tuples(st.just("confirm"), JOB),
    st.tuples(st.just("capture"), JOB, st.integers(0, 3)),
    st.tuples(st.just("release"), JOB),
)
ACT: st.SearchStrategy[Act] = st.one_of(
    HOLD,
    CHANGE,
    st.tuples(st.just("run_out"), JOB),
    st.tuples(st.just("refund"), GIFT, JOB, AMOUNT),
    st.tuples(st.just("give"), st.just("grant"), GIFT, st.sampled_from(ACCOUNTS), AMOUNT),
    st.tuples(
        st.just("give"), st.just("correction"), GIFT, st.sampled_from(ACCOUNTS), st.sampled_from([-3, -1, 2])
    ),
    st.tuples(
        st.just("limit"),
        st.sampled_from(["rich", "key_1", "key_3"]),
        st.sampled_from(LIMIT_PERIODS),
        st.sampled_from([None, 2, 5, 8]),
    ),
)


@dataclass
class Stage:
    """Where histories are played."""

    runner: asyncio.Runner
    world: World
    database_url: str


@pytest.fixture
def stage(make_database: MakeDatabase) -> Iterator[Stage]:
    url = make_database("billing")
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        world = runner.run(opened.enter_async_context(open_world(url)))
        try:
            yield Stage(runner, world, url)
        finally:
            runner.run(opened.aclose())


class LedgerMachine(RuleBasedStateMachine):
    """Plays a history on the ledger and on its model, and compares after each step."""

    stage: Stage

    @initialize()
    def begin(self) -> None:
        self.stage.runner.run(self.stage.world.begin(ACCOUNTS, KEYS))
        self.model = Model(dict.fromkeys(ACCOUNTS, (0, 0)), KEYS)
        self.latest: Act | None = None
        self.play([WELCOME])

    @rule(act=ACT)
    def one(self, act: Act) -> None:
        self.play([act])
        self.latest = act

    @precondition(lambda machine: machine.latest is not None)
    @rule()
    def the_same_again(self) -> None:
        assert self.latest is not None
        self.play([self.latest])

    @rule(act=CHANGE)
    def one_too_late(self, act: Act) -> None:
        self.play([("too_late", act)])

    @rule(acts=st.lists(ACT, min_size=2, max_size=AT_ONCE_MAX))
    def several_at_once(self, acts: list[Act]) -> None:
        self.play(acts)

    @rule(acts=st.lists(HOLD, min_size=2, max_size=AT_ONCE_MAX))
    def several_holds_at_once(self, acts: list[Act]) -> None:
        self.play(acts)

    def play(self, acts: Sequence[Act]) -> None:
        run = self.stage.runner.run
        answers = run(self.stage.world.perform(acts))
        observed = run(self.stage.world.observe())
        played = _in_some_order(self.model, list(zip(acts, answers, strict=True)), observed)
        assert played is not None, (
            f"no order of {acts} makes {answers} of {self.model} and ends in {observed}"
        )
        self.model = played


def _in_some_order(model: Model, calls: Sequence[tuple[Act, Answer]], observed: State) -> Model | None:
    """Returns the model after an order of the calls that explains their answers and what is observed after them."""
    if not calls:
        return model if model.state() == observed else None
    for position, (act, answer) in enumerate(calls):
        after, expected = model.after(*act)
        others = [*calls[:position], *calls[position + 1 :]]
        if expected != answer or not after.state()["history"] <= observed["history"]:
            continue
        found = _in_some_order(after, others, observed)
        if found is not None or after == model:  # what changes nothing may as well come first
            return found
    return None


def test_the_ledger_does_what_its_model_does(stage: Stage) -> None:
    class Machine(LedgerMachine):
        pass

    Machine.stage = stage
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=SOAK_HISTORIES or HISTORIES,
            stateful_step_count=STEPS,
            derandomize=not SOAK_HISTORIES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
        ),
    )
    assert broken_rules(stage.database_url) == {}
