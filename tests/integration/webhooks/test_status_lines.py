"""The status line decides whether a receiver took an event, whatever follows it; and no event is sent twice at once."""

import ssl

import pytest

from services.common.clock import utc_now
from services.common.egress import answer
from services.common.egress.policy import UrlPolicy, parse_networks
from services.webhooks.clients import ANSWER_BYTES_MAX, HttpReceivers, open_receivers
from services.webhooks.domain import EXCERPT_BYTES_MAX, Answer, NoAnswer
from tests.integration.common.raw_receiver import OK, After, RawReceiver, Reply, open_raw_receiver

LOOPBACK = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8"))
BODY = b'{"data":{}}'
LINE = b"HTTP/1.1 200 OK\r\n"


async def _post(
    reply: Reply, *, times: int = 1, timeout_seconds: float = 30.0
) -> tuple[list[Answer | NoAnswer], RawReceiver]:
    async with (
        open_raw_receiver() as receiver,
        open_receivers(
            LOOPBACK, clock=utc_now, connections_max=4, timeout_seconds=timeout_seconds
        ) as receivers,
    ):
        receiver.reply_to = lambda _request: reply
        return [await _send(receivers, receiver) for _ in range(times)], receiver


async def _send(receivers: HttpReceivers, receiver: RawReceiver) -> Answer | NoAnswer:
    return await receivers.post(f"{receiver.origin}/hook", headers={"webhook-id": "vid_1-1"}, body=BODY)


STRANGE = {
    "a header over 8 KiB": (LINE + b"X-Long: " + b"x" * 20_000 + b"\r\nContent-Length: 2\r\n\r\nOK", b"OK"),
    "a header over all limits": (LINE + b"X-Long: " + b"x" * 300_000 + b"\r\n\r\nOK", b""),
    "a thousand headers": (LINE + b"X-A: b\r\n" * 1_000 + b"Content-Length: 2\r\n\r\nOK", b"OK"),
    "two equal lengths": (LINE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nOK", b"OK"),
    "two lengths": (LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nOK", b"OK"),
    "a length that is none": (LINE + b"Content-Length: -2\r\n\r\nOK", b"OK"),
    "a length and chunks": (LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n", b"OK"),
    "chunks": (LINE + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\nO\r\n1\r\nK\r\n0\r\nX-Trailer: a\r\n\r\n", b"OK"),
    "a broken chunk": (LINE + b"Transfer-Encoding: chunked\r\n\r\n2\r\nOK\r\nzz\r\n", b"OK"),
    "a chunk without an end": (LINE + b"Transfer-Encoding: chunked\r\n\r\n2\r\nOKOK", b"OK"),
    "a coding nobody knows": (LINE + b"Transfer-Encoding: br\r\n\r\nOK", b"OK"),
    "a header without a colon": (LINE + b"what is this\r\nContent-Length: 2\r\n\r\nOK", b"OK"),
    "a header with odd bytes": (LINE + b"X-\xff\x00: \x01\xfe\r\n folded\r\nContent-Length: 2\r\n\r\nOK", b"OK"),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nOK", b"OK"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nOK", b"OK"),
    "an odd reason": (b"HTTP/1.1 200 \xe4\x00 \xff\r\nContent-Length: 2\r\n\r\nOK", b"OK"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nOK", b"OK"),
    "a blank line first": (b"\r\n" + OK, b"OK"),
    "interim answers": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, b"OK"),
    "a body that ends early": (LINE + b"Content-Length: 20\r\n\r\nOK", b"OK"),
    "a head that ends early": (LINE + b"Content-Le", b""),
    "nothing but a status line": (LINE, b""),
    "more than it said": (LINE + b"Content-Length: 2\r\n\r\nOKAY", b"OK"),
    "a body too long": (LINE + b"\r\n" + b"x" * (ANSWER_BYTES_MAX + 1), b"x" * EXCERPT_BYTES_MAX),
    "gzip that is none": (LINE + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nOK", b"OK"),
    "no content, but with some": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nOK", b""),
}  # fmt: skip


@pytest.mark.parametrize("after", [After.CLOSE, After.RESET])
@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in STRANGE.items()])
async def test_whatever_follows_a_status_line(sent: tuple[bytes, bytes], after: After) -> None:
    results, receiver = await _post(Reply(sent=sent[0], after=after))

    assert isinstance(results[0], Answer)
    assert results[0].status in {200, 204}
    # A reset may overtake what was sent before it.
    assert results[0].excerpt == sent[1] or after is After.RESET
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("sent", [pytest.param(sent, id=name) for name, sent in STRANGE.items()])
async def test_two_answers_do_not_mix(sent: tuple[bytes, bytes]) -> None:
    results, receiver = await _post(Reply(sent=sent[0], after=After.CLOSE), times=2)

    assert results[0] == results[1]
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("rest", [b"", b"X-Half: ", b"Content-Length: 20\r\n\r\nhalf", b"\r\nendless"])
async def test_a_rest_that_never_comes_is_not_waited_for(
    rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "REST_SECONDS", 0.05)

    results, receiver = await _post(Reply(sent=LINE + rest, after=After.HOLD))

    assert isinstance(results[0], Answer)
    assert results[0].status == 200
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 299, 301, 400, 410, 429, 500, 599])
async def test_the_status_is_the_one_of_the_line(status: int) -> None:
    sent = b"HTTP/1.1 %d \r\nRetry-After: 7\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n" % status

    results, _ = await _post(Reply(sent=sent))

    assert results == [Answer(status=status, excerpt=b"", retry_after_seconds=7)]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(sent=b"", after=After.CLOSE), "the connection was closed without an answer"),
        (Reply(sent=b"", after=After.RESET), "the connection was closed without an answer"),
        (Reply(sent=b"HTTP/1.1 2", after=After.CLOSE), "the answer ended early"),
        (Reply(sent=b"HTTP/1.1 200 OK", after=After.CLOSE), "the answer ended early"),
        (Reply(sent=b"HTTP/1.1 103 Early Hints\r\n\r\n", after=After.CLOSE), "the answer ended early"),
        (Reply(sent=b"220 mail.example ESMTP\r\n", after=After.HOLD), "the answer is not HTTP"),
        (Reply(sent=b"HTTP/2 200\r\n\r\n", after=After.CLOSE), "the answer is not HTTP"),
        (Reply(sent=b"HTTP/1.1 099 OK\r\n\r\n", after=After.CLOSE), "the answer is not HTTP"),
        (Reply(sent=b"HTTP/1.1 " + b"2" * 200_000, after=After.CLOSE), "the answer is too long"),
    ],
)  # fmt: skip
async def test_without_a_status_line_there_is_no_answer_and_one_attempt(reply: Reply, error: str) -> None:
    results, receiver = await _post(reply)

    assert results == [NoAnswer(error=error, is_ours=False)]
    assert len(receiver.requests) == 1
    assert receiver.connection_count == 1


async def test_silence_is_told_with_its_length() -> None:
    results, receiver = await _post(Reply(sent=b"", after=After.HOLD), timeout_seconds=0.3)

    assert results == [NoAnswer(error="no answer within 0.3 seconds", is_ours=False)]
    assert len(receiver.requests) == 1


async def test_a_connection_is_kept_for_the_next_event() -> None:
    results, receiver = await _post(Reply(), times=5)

    assert results == [Answer(status=200, excerpt=b"OK")] * 5
    assert receiver.connection_count == 1


@pytest.mark.parametrize(
    "sent",
    [
        LINE + b"Connection: close\r\nContent-Length: 2\r\n\r\nOK",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        LINE + b"Content-Length: 2\r\n\r\nOKHTTP/1.1 500 Split\r\n\r\n",
    ],
)
async def test_a_connection_that_may_hold_something_else_is_not_kept(sent: bytes) -> None:
    results, receiver = await _post(Reply(sent=sent), times=3)

    assert {result.status for result in results if isinstance(result, Answer)} == {200}
    assert receiver.connection_count == 3


async def test_a_kept_connection_that_was_closed_is_not_used() -> None:
    async with (
        open_raw_receiver() as receiver,
        open_receivers(LOOPBACK, clock=utc_now, connections_max=4) as receivers,
    ):
        receiver.reply_to = lambda _request: Reply(after=After.CLOSE)
        results = [await _send(receivers, receiver) for _ in range(5)]

    assert results == [Answer(status=200, excerpt=b"OK")] * 5
    assert len(receiver.requests) == 5


async def test_an_event_that_crosses_the_end_of_its_connection_is_sent_once() -> None:
    async with (
        open_raw_receiver() as receiver,
        open_receivers(LOOPBACK, clock=utc_now, connections_max=4) as receivers,
    ):
        first = await _send(receivers, receiver)
        receiver.reply_to = lambda _request: Reply(sent=b"", after=After.CLOSE)
        second = await _send(receivers, receiver)

    assert first == Answer(status=200, excerpt=b"OK")
    assert second == NoAnswer(error="the connection was closed without an answer", is_ours=False)
    assert (len(receiver.requests), receiver.connection_count) == (2, 1)


def test_certificates_are_checked_by_default() -> None:
    from services.common.egress.poster import _default_tls

    tls = _default_tls()

    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert tls.check_hostname
