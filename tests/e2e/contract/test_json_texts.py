"""What the edge reads as JSON, and what Python's `json` does: random texts, right and broken, mean the same to both.

Beyond JSON the contract refuses a name given twice, half of a surrogate pair and a number whose digits would not come
back; the reader that is compared with refuses them too.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal, InvalidOperation
from random import Random  # noqa: TID251  seeded: the same texts in each run
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.contract.conftest import path_of
from tests.e2e.customer import SMALL, VIDEOS, Customer, open_customer
from tests.e2e.edge.client import Answer
from tests.e2e.local_stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEED = 20_260_701
TEXTS = 600
BODIES = 300
PER_TASK = 40
"""So many values are looked at in one task."""
AT_ONCE = 8
ESTIMATES = "/v1/videos/estimates"
LEVELS_MAX = 4
"""Of a value, which stands in the object that may have 5."""
WHOLE_MAX = 2**53 - 1
BLANKS = ("", "", "", " ", "\n", "\t", "\r\n  ")
CHARACTERS = (
    *("a", "Z", "0", " ", "/", "'", "\x7f", "é", "ß", "雪", "\u2028", "\ufeff", "\ufffe", "😀", "\U0010ffff"),
    *(r"\"", r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0041", r"\u00E9", r"\u2028", r"\uFFFF"),
    *(r"\ud83d\ude00", r"\uD83D\uDE00"),
)
BROKEN_CHARACTERS = (
    "\n",
    "\t",
    "\x01",
    r"\x",
    r"\u12",
    r"\u12G4",
    r"\ud83d",
    r"\ude00\ud83d",
    "\\",
    '"',
    r"\u+123",
    r"\U0041",
)
NUMBERS = (
    *(
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "-1",
        "10",
        "1.5",
        "1.50",
        "0.1",
        "1e5",
        "1E+5",
        "1e-5",
        "-2.5e-3",
        "100000000000",
    ),
    *(
        str(WHOLE_MAX),
        str(-WHOLE_MAX),
        "123456789012345",
        "0.123456789012345",
        "9007199254740.25",
        "1e15",
        "0e999",
        "5e-20",
    ),
)
BROKEN_NUMBERS = (
    *(
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "--1",
        "0x10",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "1.e5",
        "00",
        "-01",
    ),
    *(
        str(WHOLE_MAX + 1),
        "12345678901234567890",
        "0.1234567890123456789",
        "1e400",
        "-1e400",
        "1e-400",
        "1e23",
        "٣",
    ),
)
BROKEN_VALUES = (
    "",
    "nul",
    "True",
    "None",
    "undefined",
    "tru e",
    "'a'",
    "[1,]",
    "[,1]",
    "[1 2]",
    "{,}",
    '{"a":1,}',
    '{"a" 1}',
    "{a:1}",
    '{"a"}',
    "{1:2}",
    "[",
    "]",
    "{",
    "}",
    "[}",
    '"',
    "1 2",
    "/**/1",
    "1//",
    "[1]]",
    "\u00a01",
    "\x0b1",
    "\x001",
    ":",
)


class Writer:
    """Writes JSON texts, of which some are broken."""

    def __init__(self, random: Random, *, slips: float) -> None:
        self._random = random
        self._slips = slips
        """How likely a part is broken."""

    def value(self, level: int = 1) -> str:
        kinds: list[Callable[[int], str]] = [self._text, self._number, self._word]
        if level <= LEVELS_MAX:
            kinds += [self._list, self._object, self._list, self._object]
        text = self._random.choice(kinds)(level)
        return self._blank() + (self._random.choice(BROKEN_VALUES) if self._slip() else text) + self._blank()

    def _slip(self) -> bool:
        return self._random.random() < self._slips

    def _blank(self) -> str:
        return self._random.choice(BLANKS)

    def _word(self, _level: int) -> str:
        return self._random.choice(("true", "false", "null"))

    def _number(self, _level: int) -> str:
        if self._slip():
            return self._random.choice(BROKEN_NUMBERS)
        written = (
            self._random.choice(NUMBERS),
            str(self._random.randint(-WHOLE_MAX - 9, WHOLE_MAX + 9)),
            repr(self._random.uniform(-10, 10)),
            f"{self._random.uniform(-1, 1):.{self._random.randint(1, 18)}e}",
            f"{self._random.randint(0, 999)}.{self._random.randint(0, 10**14)}",
        )
        return self._random.choice(written)

    def _text(self, _level: int) -> str:
        parts = [self._random.choice(CHARACTERS) for _ in range(self._random.randint(0, 6))]
        if self._slip():
            parts.insert(self._random.randint(0, len(parts)), self._random.choice(BROKEN_CHARACTERS))
        return f'"{"".join(parts)}"'

    def _list(self, level: int) -> str:
        return (
            f"[{','.join(self.value(level + 1) for _ in range(self._random.randint(0, 3)))}{self._blank()}]"
        )

    def _object(self, level: int) -> str:
        names = [self._blank() + self._text(level) + self._blank() for _ in range(self._random.randint(0, 3))]
        return f"{{{','.join(f'{name}:{self.value(level + 1)}' for name in names)}{self._blank()}}}"


def read(text: str) -> Any:
    """Returns what Python reads. Raises ValueError."""
    found = json.loads(
        text, parse_constant=_constant, parse_int=_number, parse_float=_number, object_pairs_hook=_members
    )
    # Half of a pair is no character.
    json.dumps(found, ensure_ascii=False).encode()
    return found


def _constant(name: str) -> Any:
    raise ValueError(name)


def _number(written: str) -> float:
    found = float(written)
    if abs(found) > WHOLE_MAX or (found != 0 and abs(found) < 2.3e-308):
        raise ValueError(written)
    shown = f"{found:.15g}"
    try:
        is_same = Decimal(shown if float(shown) == found else f"{found:.17g}") == Decimal(written)
    except InvalidOperation as error:
        raise ValueError(written) from error
    if not is_same:
        raise ValueError(written)
    return found


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found


def is_same(one: Any, other: Any) -> bool:
    """Returns whether two values are the same, and of the same type."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(is_same(one[key], other[key]) for key in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, bool) or one is None or isinstance(one, str):
        return type(one) is type(other) and one == other
    return (
        not isinstance(other, bool)
        and isinstance(other, int | float)
        and math.isclose(one, other, rel_tol=0, abs_tol=0)
    )


def estimate_of(text: str) -> bytes:
    """Returns a body with this text as a value of metadata, as bytes even where it is no character."""
    body = f'{{"model":"mini","input":{{"prompt":"waves"}},"metadata":{{"v":{text}}}}}'
    return body.encode("utf-8", "surrogatepass")


def python_reads(body: bytes) -> bool:
    """Returns whether Python does, after the mark that a text may begin with."""
    try:
        read(body.decode("utf-8-sig"))
    except ValueError:
        return False
    return True


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def customer(stack: Stack) -> AsyncIterator[Customer]:
    account = stack.create_account("json texts")
    async with open_customer(stack.edge, account.keys["test"], seconds=120) as opened:
        yield opened


async def answers(customer: Customer, path: str, bodies: Sequence[bytes]) -> list[Answer]:
    """Sends bodies, AT_ONCE at a time. Returns the answers in their order."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def sent(body: bytes) -> Answer:
        async with turns:
            return await customer.send("POST", path, raw=body)

    return await asyncio.gather(*map(sent, bodies))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    random = Random(SEED)
    whole, broken = Writer(random, slips=0), Writer(random, slips=0.08)
    return [writer.value() for _ in range(TEXTS // 2) for writer in (whole, broken)] + [
        *BROKEN_NUMBERS,
        *NUMBERS,
        *BROKEN_VALUES,
        *(f'"{each}"' for each in (*CHARACTERS, *BROKEN_CHARACTERS)),
        *("\ud800", '"\ud800"'),
    ]


async def test_texts_that_python_reads_are_taken_and_no_others(customer: Customer, texts: list[str]) -> None:
    bodies = [estimate_of(text) for text in texts]
    are_read = [python_reads(body) for body in bodies]

    found = await answers(customer, ESTIMATES, bodies)

    wrong = [
        (body, is_read, answer.status, answer.body)
        for body, is_read, answer in zip(bodies, are_read, found, strict=True)
        if answer.status != (200 if is_read else 400)
    ]
    assert wrong == []
    assert TEXTS / 4 < are_read.count(True) < len(texts) - TEXTS / 8


async def test_values_come_back_as_python_reads_them(customer: Customer, texts: list[str]) -> None:
    taken = [text for text in texts if python_reads(estimate_of(text))]
    parts = [taken[start : start + PER_TASK] for start in range(0, len(taken), PER_TASK)]
    bodies = []
    for part in parts:
        members = ",".join(f'"{number}":{text}' for number, text in enumerate(part))
        wanted = json.dumps({"prompt": "[simulate: fail]", **SMALL})
        bodies.append(f'{{"model":"mini","input":{wanted},"metadata":{{{members}}}}}'.encode())

    created = await answers(customer, VIDEOS, bodies)

    for part, answer in zip(parts, created, strict=True):
        shown = (await customer.get(path_of(answer.json["data"])))["metadata"]
        wrong = [
            (text, shown[str(number)])
            for number, text in enumerate(part)
            if not is_same(read(text), shown[str(number)])
        ]
        assert wrong == []


async def test_bodies_that_python_does_not_read_are_refused_and_others_are_read(customer: Customer) -> None:
    random = Random(SEED)
    bodies = [spoilt(random) for _ in range(BODIES)]
    are_read = [python_reads(body) for body in bodies]

    found = await answers(customer, ESTIMATES, bodies)

    wrong = [
        (body, is_read, answer.status, answer.body)
        for body, is_read, answer in zip(bodies, are_read, found, strict=True)
        if (answer.status == 200 and not is_read) or (is_called_broken(answer) and is_read)
    ]
    assert wrong == []
    assert BODIES / 10 < are_read.count(True) < BODIES - BODIES / 10
    assert {answer.status for answer in found} >= {200, 400}


def spoilt(random: Random) -> bytes:
    """Returns a body in which up to three bytes were lost, added or changed, or which begins with a mark."""
    whole = bytearray(estimate_of(Writer(random, slips=0).value()))
    for _ in range(random.randint(0, 3)):
        at = random.randrange(len(whole))
        whole[at : at + random.randint(0, 1)] = random.choice(
            (b"", b" ", b'"', b",", b"}", b"\xff", b"\\", b"\xc3", b"0")
        )
    return (b"\xef\xbb\xbf" if random.random() < 0.2 else b"") + bytes(whole)


def is_called_broken(answer: Answer) -> bool:
    return answer.status == 415 or (answer.status == 400 and b"is not valid JSON" in answer.body)
