"""Spans of the calls and jobs that the edge chose to trace. All others only pass on the `traceparent` they came with.

Whether a trace is sampled is one bit of that header, and nobody decides it again. Attributes are a closed list, so that
no prompt, key, token, address or body can get into a span.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

HEADER = "traceparent"
ANSWER, CALL = SpanKind.SERVER, SpanKind.CLIENT
"""Kinds of spans: a call that is answered, and one that is made."""
traceparent: ContextVar[str] = ContextVar(HEADER, default="")
"""The trace and the span that what happens now belongs to, as the header of W3C Trace Context. Empty: none."""
ATTRIBUTES: Mapping[str, str] = {
    "account": "reelgate.account.id",
    "code": "rpc.response.status_code",
    "event": "reelgate.event.id",
    "job": "reelgate.job.id",
    "request": "reelgate.request.id",
    "status": "http.response.status_code",
}
"""All that a span can say besides its name, its times and the type of its error."""
FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes of calls that failed through no fault of their caller."""

_LENGTH = 55
_ODD = frozenset("13579bdf")


class Untraced:
    """Stands where there is no span, and costs next to nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing."""

    def note(self, **attributes: str | int) -> None:
        """Does nothing."""

    def header(self) -> str:
        """Returns nothing."""
        return ""

    def link(self, header: str) -> None:
        """Does nothing."""

    def end_call(self, code: str) -> None:
        """Does nothing."""

    def fail(self, what: str) -> None:
        """Does nothing."""


class Traced(Untraced):
    """A span for as long as its block lasts. What begins inside belongs below it."""

    __slots__ = ("_is_told", "_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[str] | None = None
        self._is_told = False

    def __enter__(self) -> Self:
        self._token = traceparent.set(self.header())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the span; of an error it keeps the type only, because a message may quote what was sent."""
        assert self._token is not None
        traceparent.reset(self._token)
        if kind is not None and not self._is_told:
            self.fail(kind.__name__)
        self._span.end()

    def note(self, **attributes: str | int) -> None:
        """Adds attributes, named as in ATTRIBUTES."""
        for name, value in attributes.items():
            self._span.set_attribute(ATTRIBUTES[name], value)

    def header(self) -> str:
        """Returns the header of what belongs below it."""
        return _header_of(self._span.get_span_context())

    def link(self, header: str) -> None:
        """Says that what happens here concerns the span of a header too, in another trace."""
        if linked := _parsed(header):
            self._span.add_link(linked)

    def end_call(self, code: str) -> None:
        """Says with which gRPC code the call ended. A refusal that is the caller's own fault is no error of the span."""
        self._is_told = True
        self.note(code=code)
        if code in FAULTS:
            self.fail(code)

    def fail(self, what: str) -> None:
        """Says that the span ends in an error of this type, which is one of few."""
        self._span.set_attribute("error.type", what)
        self._span.set_status(Status(StatusCode.ERROR))


class _Recorder:
    tracer: Tracer | None = None


_NONE = Untraced()
_recorder = _Recorder()


def is_sampled(header: str) -> bool:
    """Returns whether spans are made for a `traceparent`. Without one: no."""
    return header[54:] in _ODD


def kept_traceparent() -> str | None:
    """Returns what to store beside work that is done later, so that it belongs to the same trace. Mostly None."""
    header = traceparent.get()
    return header if is_sampled(header) else None


def span(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, parent: str | None = None, **attributes: str | int
) -> Untraced:
    """Returns a span to enter, below `parent`, or below the present one. Nothing is recorded unless that is sampled.

    `parent` is a stored `traceparent`; `attributes` are named as in ATTRIBUTES.
    """
    header = traceparent.get() if parent is None else parent
    if header[54:] not in _ODD or _recorder.tracer is None:
        return _NONE
    context = _context_of(header)
    if context is None:
        return _NONE
    named = {ATTRIBUTES[attribute]: value for attribute, value in attributes.items()}
    return Traced(_recorder.tracer.start_span(name, context=context, kind=kind, attributes=named))


@contextmanager
def spans_together(name: str, headers: Sequence[str]) -> Iterator[None]:
    """Makes a span in each sampled trace among those that share what happens inside. All are linked with the first.

    What begins inside belongs below the first one. Where none is sampled, the first header is passed on.
    """
    sampled = list(dict.fromkeys(filter(is_sampled, headers)))
    traceparent.set(sampled[0] if sampled else next(filter(None, headers), ""))
    with ExitStack() as stack:
        others = [stack.enter_context(span(name, parent=other)) for other in sampled[1:]]
        if sampled:
            present = stack.enter_context(span(name, parent=sampled[0]))
            for each in others:
                each.link(present.header())
                present.link(each.header())
        yield


def is_recording() -> bool:
    """Returns whether this process makes spans at all."""
    return _recorder.tracer is not None


@contextmanager
def recording(tracer: Tracer) -> Iterator[None]:
    """Makes the spans of this process with a tracer until the block ends."""
    before, _recorder.tracer = _recorder.tracer, tracer
    try:
        yield
    finally:
        _recorder.tracer = before


def _context_of(header: str) -> Context | None:
    """Returns a context in which the span of a header is the present one, or None if it is not such a header."""
    found = _parsed(header)
    return None if found is None else set_span_in_context(NonRecordingSpan(found), Context())


def _parsed(header: str) -> SpanContext | None:
    try:
        found = SpanContext(
            trace_id=int(header[3:35], 16),
            span_id=int(header[36:52], 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
    except ValueError:
        return None
    return found if found.is_valid and len(header) == _LENGTH else None


def _header_of(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
