"""A video for each line of a file. What was done stands in a file beside it, so that a rerun goes on and pays nothing twice."""

import asyncio
import hashlib
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from reelgate_client import AsyncNextAPI, AsyncSeedancee2
from reelgate_client.cli.exits import FAILED, TIMED_OUT, CommandError, CommandInterrupted
from reelgate_client.cli.jobs import target_of
from reelgate_client.cli.output import for_programs, print_json, program, say
from reelgate_client.cli.profiles import contract_of
from reelgate_client.cli.requests import Body, body_of, files_in, resolved, shaped
from reelgate_client.cli.run import agree, price_of
from reelgate_client.errors import (
    AuthenticationError,
    InsufficientCreditsError,
    ReelgateError,
    WaitTimeoutError,
)

LINES_MAX = 10_000
KEY_SECONDS = 23 * 3600
"""How long a creation whose answer was lost is repeated. The API knows its key for an hour longer."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to make the videos of a file."""

    model: str
    words: Sequence[str]
    out: Path | None
    at_once: int
    waits: bool
    timeout: float
    max_credits: float | None
    yes: bool
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """One video to make."""

    number: int
    name: str
    """Says what is made, whatever stands before it in the file: the same body has the same name."""
    body: Body


class State:
    """What became of each line, in an append-only file: one JSON object for each step, on disk before the next step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.of: dict[str, dict[str, Any]] = {}
        self.batch = ""
        for record in _records(path):
            self.batch = record.get("batch", self.batch)
            if "line" in record:
                self.of.setdefault(record["line"], {}).update(record)
        if not self.batch:
            self.batch = secrets.token_hex(8)
            self._write({"batch": self.batch})

    def note(self, line: Line, **step: Any) -> None:
        """Puts a step of a line on record."""
        self.of.setdefault(line.name, {}).update(step)
        self._write({"line": line.name, **step})

    def key(self, line: Line) -> str:
        """Returns the idempotency key of a line, the same in every run."""
        return f"{self.batch}-{line.name}"

    def _write(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def run_batch(client: Any, file: Path, options: Options) -> None:
    """Makes a video for each line that has none yet. Raises what stops all of them, and typer.Exit if some failed."""
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    lines = list(_lines(file, contract_of(client), options))
    if len(lines) > LINES_MAX:
        raise CommandError(f"{file} has {len(lines)} lines, and the most is {LINES_MAX}: split it")
    state = State(file.with_name(f"{file.name}.state.jsonl"))
    left = [line for line in lines if not state.of.get(line.name, {}).get("ended")]
    new = [line for line in left if "id" not in state.of.get(line.name, {})]
    say(f"{len(lines)} lines, {len(lines) - len(left)} done before. State: {state.path}")
    if new:
        agree(client, _price(client, new), max_credits=options.max_credits, yes=options.yes, count=len(new))
    try:
        asyncio.run(_make_all(client, left, state, options))
    except KeyboardInterrupt:
        raise CommandInterrupted(
            "What was accepted goes on. Run the same command again to go on: nothing is paid twice."
        ) from None


def _lines(file: Path, contract: str, options: Options) -> Iterator[Line]:
    seen = Counter[str]()
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip() or text.startswith("#"):
            continue
        body = _body(text, number, contract, options, is_json=file.suffix == ".jsonl")
        whole = json.dumps(body, sort_keys=True, default=str).encode()
        digest = hashlib.sha256(whole).hexdigest()[:24]
        seen[digest] += 1
        yield Line(number=number, name=f"{digest}-{seen[digest]}", body=body)


def _body(text: str, number: int, contract: str, options: Options, *, is_json: bool) -> Body:
    if not is_json:
        return body_of(contract, model=options.model, prompt=text.strip(), words=options.words)
    try:
        own = json.loads(text)
        prompt = own.pop("prompt", "") or own["input"]["prompt"]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise CommandError(f'Line {number} is no JSON object with a "prompt"') from None
    common = body_of(contract, model=options.model, prompt=prompt, words=options.words)
    if "input" in own:
        return {**common, **own, "input": {**common["input"], **own["input"]}}
    mine = shaped(contract, own)
    if "input" in common:
        return {**common, **mine, "input": {**common["input"], **mine["input"]}}
    return {**common, **mine}


def _price(client: Any, lines: Sequence[Line]) -> float | None:
    """Returns what lines cost together. Those that differ only in what does not change the price are asked about once."""
    kinds = Counter[str]()
    examples: dict[str, Body] = {}
    for line in lines:
        inner = line.body.get("input", line.body)
        kind = json.dumps([line.body["model"], *(inner.get(name) for name in ("resolution", "duration"))])
        kinds[kind] += 1
        examples[kind] = _without_references(line.body)
    prices = {kind: price_of(client, body) for kind, body in examples.items()}
    known = [price * kinds[kind] for kind, price in prices.items() if price is not None]
    return sum(known) if len(known) == len(prices) else None


def _without_references(body: Body) -> Body:
    inner = body.get("input", body)
    return {
        "model": body["model"],
        "input": {
            "prompt": "Any",
            **{name: inner[name] for name in ("resolution", "duration") if name in inner},
        },
    }


async def _make_all(client: Any, lines: Sequence[Line], state: State, options: Options) -> None:
    of_contract = AsyncNextAPI if contract_of(client) == "nextapi" else AsyncSeedancee2
    turns = asyncio.Semaphore(options.at_once)
    codes: list[int] = []
    async with of_contract(client.core.api_key, client.core.base_url) as caller:
        maker = _Maker(caller, state, options)

        async def make(line: Line) -> None:
            async with turns:
                if not maker.stopped_by:
                    codes.append(await maker.make(line))

        await asyncio.gather(*(make(line) for line in lines))
    if maker.stopped_by:
        raise maker.stopped_by
    failed = sum(code != 0 for code in codes)
    say(f"{len(codes) - failed} made, {failed} not", "red" if failed else "green")
    if failed:
        raise typer.Exit(FAILED if FAILED in codes else TIMED_OUT)


class _Maker:
    """Makes videos of lines, side by side."""

    def __init__(self, client: Any, state: State, options: Options) -> None:
        self.stopped_by: ReelgateError | None = None
        self._client = client
        self._state = state
        self._options = options
        self._uploads: dict[Path, asyncio.Task[Any]] = {}

    async def make(self, line: Line) -> int:
        """Makes one. Returns 0, or the exit code of what went wrong with it."""
        try:
            video = await self._video(line)
            if not self._options.waits:
                self._show(line, video.data, f"{video.id} accepted")
                return 0
            await video.wait(self._options.timeout, raise_on_failure=False)
            saved = None
            if video.succeeded and self._options.out is not None:
                saved = await video.download(target_of(video, self._options.out))
        except (AuthenticationError, InsufficientCreditsError) as error:
            self.stopped_by = self.stopped_by or error
            return FAILED
        except (ReelgateError, OSError) as error:
            request_id = getattr(error, "request_id", None)
            self._show(
                line, {"error": str(error)}, f"{error}" + (f" request id: {request_id}" if request_id else "")
            )
            return TIMED_OUT if isinstance(error, WaitTimeoutError) else FAILED
        self._state.note(line, ended=video.status, saved=saved and str(saved))
        self._show(line, video.data, f"{video.id} {video.status}" + (f", saved as {saved}" if saved else ""))
        return 0 if video.succeeded else FAILED

    async def _video(self, line: Line) -> Any:
        """Returns the video of a line: the one that was accepted before, or a new one."""
        known = self._state.of.get(line.name, {})
        if "id" in known:
            return await self._client.videos.get(known["id"])
        if "sent_at" in known and time.time() - known["sent_at"] > KEY_SECONDS:
            raise ReelgateError(
                f"Line {line.number} was sent a day ago, and the answer was lost. Look for it with"
                f" {program()} jobs list, and remove its lines from {self._state.path} to make it anew"
            )
        if "sent_at" not in known:
            for path in files_in(line.body):
                await self._upload(path)
            body = resolved(line.body, lambda path: self._uploads[path].result().url)
            self._state.note(line, sent_at=int(time.time()), body=body)
        sent = self._state.of[line.name]["body"]
        video = await self._client.videos.create(idempotency_key=self._state.key(line), **sent)
        self._state.note(line, id=video.id)
        return video

    async def _upload(self, path: Path) -> None:
        if path not in self._uploads:
            self._uploads[path] = asyncio.ensure_future(self._client.uploads.create(path))
        await self._uploads[path]

    def _show(self, line: Line, found: dict[str, Any], text: str) -> None:
        if for_programs(self._options.as_json):
            print_json({"line": line.number, **found})
        say(f"line {line.number}: {text}")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    *whole, rest = path.read_text(encoding="utf-8").split("\n")
    if rest:
        # What a kill left of the last step, which was then not taken.
        path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    yield from map(json.loads, whole)
