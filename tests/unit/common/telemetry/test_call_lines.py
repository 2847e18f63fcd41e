"""Lines of calls look as they always did, come in order, wait for others for a moment only, and are not lost at the end."""

import asyncio
import io
import json
import logging
import os
import signal
import subprocess
import sys

import pytest
from typing_extensions import override

from services.common.telemetry.call_lines import (
    GATHER_SECONDS,
    LINES_MAX,
    LOGGER,
    CallLine,
    as_json,
    as_text,
    lines_sent_to,
    note_call,
)
from services.common.telemetry.logs import TEXT, LineHandler, TextFormatter
from tests.patience import PATIENCE_SECONDS
from tests.unit.common.virtual_time import run_virtually

LINE = CallLine(
    ended_at=1_795_866_700.1239,
    method="/reelgate.video.v1.VideoService/GetVideo",
    code="OK",
    duration_ms=12.4,
    request_id='req_1"',
    trace_id="0af7651916cd43dd8448eb211c80319c",
    account="acct_1",
)


class Written(io.StringIO):
    """What was written, and in how many pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    @override
    def write(self, text: str) -> int:
        if text:
            self.pieces.append(text)
        return len(text)


class Closed(io.StringIO):
    @override
    def write(self, text: str) -> int:
        raise BrokenPipeError


def numbered(number: int) -> CallLine:
    return LINE._replace(request_id=f"req_{number}")


def numbers(text: str) -> list[str]:
    return [line.rpartition("req_")[2] for line in text.splitlines()]


def test_text_is_what_logging_would_have_written() -> None:
    record = logging.LogRecord(
        LOGGER,
        logging.INFO,
        "file",
        1,
        "method=%s code=%s duration_ms=%.1f request_id=%s",
        (LINE.method, LINE.code, LINE.duration_ms, LINE.request_id),
        None,
    )
    record.created, record.msecs = LINE.ended_at, 123.0

    assert as_text(LINE) == TextFormatter(TEXT).format(record) + "\n"


def test_json_has_what_is_known_in_one_order() -> None:
    whole = {
        "time": "2026-11-28T11:51:40.123+00:00",
        "level": "info",
        "logger": LOGGER,
        "method": LINE.method,
        "code": "OK",
        "duration_ms": 12.4,
        "request_id": LINE.request_id,
        "trace_id": LINE.trace_id,
        "account": "acct_1",
    }

    assert list(json.loads(as_json(LINE)).items()) == list(whole.items())
    unknown = json.loads(as_json(LINE._replace(trace_id="", account="")))
    assert "trace_id" not in unknown
    assert "account" not in unknown


def test_lines_wait_for_each_other_and_for_no_longer() -> None:
    async def main() -> None:
        written = Written()
        handler = LineHandler("text", written)
        for number in (1, 2):
            handler.calls.note(numbered(number))
            await asyncio.sleep(0.4 * GATHER_SECONDS)
        assert written.pieces == []

        await asyncio.sleep(0.3 * GATHER_SECONDS)
        handler.calls.note(numbered(3))
        await asyncio.sleep(1.1 * GATHER_SECONDS)

        assert [numbers(piece) for piece in written.pieces] == [["1", "2"], ["3"]]

    run_virtually(main())


def test_any_other_line_comes_after_the_calls_before_it() -> None:
    async def main() -> None:
        written = Written()
        handler = LineHandler("text", written)
        handler.calls.note(numbered(1))
        handler.handle(logging.makeLogRecord({"msg": "other req_2", "levelno": logging.WARNING}))
        handler.calls.note(numbered(3))
        handler.flush()

        assert numbers("".join(written.pieces)) == ["1", "2", "3"]

    run_virtually(main())


def test_a_burst_is_written_at_once() -> None:
    async def main() -> None:
        written = Written()
        handler = LineHandler("json", written)
        for number in range(LINES_MAX + 1):
            handler.calls.note(numbered(number))

        assert [len(piece.splitlines()) for piece in written.pieces] == [LINES_MAX]

    run_virtually(main())


def test_calls_go_on_when_nobody_reads() -> None:
    async def main() -> None:
        handler = LineHandler("text", Closed())
        for number in range(LINES_MAX):
            handler.calls.note(numbered(number))

        assert handler.calls.take() == []

    run_virtually(main())


def test_lines_go_elsewhere_only_until_the_block_ends() -> None:
    usual: list[CallLine] = []
    elsewhere: list[CallLine] = []

    with lines_sent_to(usual.append):
        with lines_sent_to(elsewhere.append):
            note_call(numbered(1))
        note_call(numbered(2))

    assert (elsewhere, usual) == ([numbered(1)], [numbered(2)])


PROCESS = """
import asyncio, os, signal, sys
from services.common.rpc.server import run_until_signalled
from services.common.telemetry.call_lines import CallLine, note_call

async def start(stack):
    async def serve():
        note_call(CallLine(0.0, "/m", "OK", 1.0, "req_7", "", ""))
        if sys.argv[1] == "stops":
            os.kill(os.getpid(), signal.SIGTERM)
        if sys.argv[1] == "breaks":
            raise SystemExit("broken")
    stack.serving = asyncio.create_task(serve())

run_until_signalled(start, log_format="json")
"""


@pytest.mark.parametrize("how", ["stops", "breaks", "is killed"])
def test_a_process_that_ends_has_written_them(how: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, how], stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        assert process.stderr is not None
        try:
            if how == "is killed":
                while '"req_7"' not in process.stderr.readline():
                    assert process.poll() is None
                process.send_signal(signal.SIGKILL)
            else:
                assert '"req_7"' in process.communicate(timeout=PATIENCE_SECONDS)[1]
        finally:
            process.kill()
