"""How log lines are written: as text, or as one object of JSON each.

Lines name things by their ids. No line quotes what a customer sent: of a database error only its first line is written,
because the others quote rows.
"""

import json
import logging
import re
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

from typing_extensions import override

from services.common.rpc.both_ends import request_id
from services.common.rpc.interceptors import account
from services.common.telemetry.call_lines import Gathered, as_json, as_text, send_lines_to
from services.common.telemetry.tracing import traceparent

LogFormat = Literal["text", "json"]

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_QUOTED_ROWS = re.compile(r"\n(?:DETAIL|CONTEXT|LINE \d+): ?.*?(?=\n\n|\Z)", re.DOTALL)
"""What PostgreSQL says after the first line of an error, up to the next error of the chain."""

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up_logs(log_format: LogFormat) -> None:
    """Writes the lines of this process to standard error, as `text` or `json`."""
    handler = LineHandler(log_format)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    send_lines_to(handler.calls.note)


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines in the order in which they came: those of calls together, any other at once.

    What is left is written when the process ends, unless it is killed.
    """

    def __init__(self, log_format: LogFormat, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        is_json = log_format == "json"
        self.setFormatter(JsonFormatter() if is_json else TextFormatter(TEXT))
        self._written = as_json if is_json else as_text
        self.calls = Gathered(self.flush)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.flush()
        super().emit(record)

    @override
    def flush(self) -> None:
        """Writes what has been gathered."""
        self.acquire()
        try:
            self.stream.write("".join(map(self._written, self.calls.take())))
            super().flush()
        except (OSError, ValueError):
            # Nobody reads any more. Calls are answered all the same.
            return
        finally:
            self.release()


class TextFormatter(logging.Formatter):
    """Lines for people."""

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        return _without_rows(super().formatMessage(record))

    @override
    def formatException(self, ei: _ExcInfo) -> str:
        return _without_rows(super().formatException(ei))


class JsonFormatter(TextFormatter):
    """One object of JSON for each line, with the trace, the request and the account that it belongs to."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _without_rows(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        belongs = {
            "trace_id": traceparent.get()[3:35],
            "request_id": request_id.get(),
            "account": account.get(),
        }
        line |= {name: value for name, value in belongs.items() if value}
        return json.dumps(line, default=str)


def _without_rows(text: str) -> str:
    return _QUOTED_ROWS.sub("", text) if "\n" in text else text
