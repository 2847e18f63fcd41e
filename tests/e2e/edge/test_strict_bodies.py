"""A body is read once at the edge: it reaches services whole and unbent, or they are told exactly what is wrong with it."""

import json
import zlib
from collections.abc import AsyncIterator
from gzip import compress
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from reelgate.video.v1 import video_service_pb2
from reelgate.webhooks.v1 import webhooks_service_pb2

from services.edge.strict import CONTENT_TYPE, FAULT
from tests.e2e.edge.client import Answer, send
from tests.e2e.edge.observer import Observer, Seen, serving_observer
from tests.e2e.edge_process import RunningEdge, running_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

MUCH = 1_000_000
VIDEOS = "/v1/videos/generations"
ENDPOINTS = "/v1/webhook_endpoints"
REQUEST = "reelgate.video.v1.CreateVideoRequest"
INPUT = "reelgate.video.v1.VideoInput"
VALID = '{"model":"mini","input":{"prompt":"waves"}}'
HEADER_LENGTH_MAX = 1024


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def serving() -> AsyncIterator[Observer]:
    async with serving_observer() as observer:
        yield observer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def observed(serving: Observer) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        jobs_targets=serving.target,
        billing_targets=serving.target,
        webhooks_targets=serving.target,
        body_kib_per_second_per_address=MUCH,
        large_body_kib_per_second=MUCH,
        ready_path="/healthz",
    ) as edge:
        yield edge


@pytest.fixture
def observer(serving: Observer) -> Observer:
    serving.seen.clear()
    return serving


class Customer:
    """Sends bodies, and tells what a service saw of each."""

    def __init__(self, edge: RunningEdge, observer: Observer) -> None:
        self.edge = edge
        self.observer = observer

    async def seen(self, body: bytes | str, *headers: str, path: str = VIDEOS, verb: str = "POST") -> Seen:
        answer: Answer = await send(self.edge, verb, path, body, headers)
        assert answer.status == 200, answer
        return self.observer.only()

    async def fault(self, body: bytes | str, *headers: str, path: str = VIDEOS, verb: str = "POST") -> Any:
        """Returns what the service is told, after checking that it was given nothing else."""
        seen = await self.seen(body, *headers, path=path, verb=verb)
        assert seen.message == b""
        header = seen.metadata[FAULT]
        assert isinstance(header, str)
        assert header.isascii()
        assert len(header) <= HEADER_LENGTH_MAX
        found = json.loads(header)
        return {name: found[name] for name in found if found[name] and name != "message"}

    async def message(self, body: bytes | str, *headers: str) -> Any:
        """Returns the request that reached CreateVideo, faultless."""
        seen = await self.seen(body, *headers)
        assert FAULT not in seen.metadata
        return MessageToDict(
            video_service_pb2.CreateVideoRequest.FromString(seen.message), preserving_proto_field_name=True
        )


@pytest.fixture
def customer(observed: RunningEdge, observer: Observer) -> Customer:
    return Customer(observed, observer)


def of_input(field: str) -> str:
    return f'{{"model":"mini","input":{{"prompt":"waves",{field}}}}}'


def of_metadata(text: str) -> str:
    return f'{{"model":"mini","metadata":{{"a":{text}}}}}'


def unknown(field: str, name: str) -> dict[str, str]:
    return {"rule": "unknown_field", "field": field, "name": name}


def repeated(field: str, name: str) -> dict[str, str]:
    return {"rule": "repeated_field", "field": field, "name": name}


def wrong(field: str, wanted: str, came: str) -> dict[str, str]:
    name = {} if field.endswith("]") else {"name": field.rpartition(".")[2]}
    return {"rule": "wrong_type", "field": field, "wanted": wanted, "came": came, **name}


def malformed(reason: str, line: int, column: int) -> dict[str, str]:
    return {"rule": "malformed", "wanted": reason, "came": f"line {line}, column {column}"}


def inexact(field: str, number: str) -> dict[str, str]:
    name = {} if field.endswith("]") else {"name": field.rpartition(".")[2]}
    return {"rule": "inexact_number", "field": field, "came": f"the number {number}", **name}


A_VALUE = "a value must stand here"
A_NAME = "a name in double quotes must stand here"
INT32 = "a whole number from -2147483648 to 2147483647"
FAULTS = {
    # Names that are not known, at any depth, in any spelling.
    '{"ratio":1}': unknown("ratio", "ratio"),
    '{"model":"mini","duration":5,"input":{"prompt":"waves"}}': unknown("duration", "duration"),
    of_input('"image_url":"a"'): unknown("input.image_url", "image_url"),
    of_input('"imageUrls":[]'): unknown("input.imageUrls", "imageUrls"),
    of_input('"duration_seconds":5'): unknown("input.duration_seconds", "duration_seconds"),
    of_input('"n":null'): unknown("input.n", "n"),
    of_input('"":1'): {"rule": "unknown_field", "field": "input."},
    of_input('"r\\u0061tio \\"\\ud83d\\ude00é":1'): unknown('input.ratio "😀é', 'ratio "😀é'),
    '{"[model]":1}': unknown("[model]", "[model]"),
    f'{{"{"n" * 65}":1}}': unknown("n" * 64 + "…", "n" * 64 + "…"),
    # Names that come twice.
    '{"model":"pro","model":"mini"}': repeated("model", "model"),
    '{"model":null,"model":"mini"}': repeated("model", "model"),
    '{"input":{},"input":{}}': repeated("input", "input"),
    of_input('"pr\\u006fmpt":"storm"'): repeated("input.prompt", "prompt"),
    of_input('"image_urls":["a"],"image_urls":["b"]'): repeated("input.image_urls", "image_urls"),
    of_metadata('[{"b":1,"c":{},"b":1}]'): repeated("metadata.a[0].b", "b"),
    '{"metadata":{"a":1,"a":1}}': repeated("metadata.a", "a"),
    # Lists.
    of_input('"image_urls":[null]'): {
        "rule": "null_item",
        "field": "input.image_urls[0]",
        "wanted": "a text",
        "came": "null",
    },
    of_input('"image_urls":["a",["b"]]'): wrong("input.image_urls[1]", "a text", "a list"),
    of_input('"image_urls":[{"url":"a"}]'): wrong("input.image_urls[0]", "a text", "an object"),
    of_input('"image_urls":[1]'): wrong("input.image_urls[0]", "a text", "the number 1"),
    of_input('"image_urls":"a"'): wrong("input.image_urls", "a list of texts", 'the text "a"'),
    of_input('"image_urls":{"a":1}'): wrong("input.image_urls", "a list of texts", "an object"),
    # Values of another kind.
    '{"model":5}': wrong("model", "a text", "the number 5"),
    '{"model":true}': wrong("model", "a text", "true"),
    '{"input":"text"}': wrong("input", "an object", 'the text "text"'),
    '{"input":[]}': wrong("input", "an object", "a list"),
    '{"metadata":[1]}': wrong("metadata", "an object", "a list"),
    of_input('"duration":"5"'): wrong("input.duration", "a whole number", 'the text "5"'),
    of_input('"duration":[5]'): wrong("input.duration", "a whole number", "a list"),
    of_input('"duration":5.5'): wrong("input.duration", "a whole number", "the number 5.5"),
    of_input('"duration":5.00000000000000000001'): wrong(
        "input.duration", "a whole number", "the number 5.00000000000000000001"
    ),
    of_input('"generate_audio":"yes"'): wrong("input.generate_audio", "true or false", 'the text "yes"'),
    of_input('"generate_audio":1'): wrong("input.generate_audio", "true or false", "the number 1"),
    of_input(f'"seed":"{"x" * 500}"'): wrong("input.seed", "a whole number", f'the text "{"x" * 64}…"'),
    of_input('"seed":2147483648'): {
        "rule": "out_of_range",
        "field": "input.seed",
        "name": "seed",
        "wanted": INT32,
        "came": "the number 2147483648",
    },
    of_input('"seed":-2147483649'): {
        "rule": "out_of_range",
        "field": "input.seed",
        "name": "seed",
        "wanted": INT32,
        "came": "the number -2147483649",
    },
    of_input('"seed":1e999'): {
        "rule": "out_of_range",
        "field": "input.seed",
        "name": "seed",
        "wanted": INT32,
        "came": "the number 1e999",
    },
    # Numbers that would come back as others.
    of_metadata("9007199254740992"): inexact("metadata.a", "9007199254740992"),
    of_metadata("-9007199254740992"): inexact("metadata.a", "-9007199254740992"),
    of_metadata('[1,{"é":1e300}]'): inexact("metadata.a[1].é", "1e300"),
    of_metadata("[1e999]"): inexact("metadata.a[0]", "1e999"),
    of_metadata("0.1000000000000000055"): inexact("metadata.a", "0.1000000000000000055"),
    of_metadata("0.1234567890123456"): inexact("metadata.a", "0.1234567890123456"),
    of_metadata("1e-400"): inexact("metadata.a", "1e-400"),
    # Depth.
    of_metadata("[[[[[]]]]]"): {
        "rule": "too_deep",
        "field": "metadata",
        "wanted": "at most 5 levels",
    },
    of_metadata('{"a":' * 60 + "1" + "}" * 60): {
        "rule": "too_deep",
        "field": "metadata",
        "name": "a",
        "wanted": "at most 5 levels",
    },
    # No object.
    "[]": {"rule": "not_an_object", "wanted": "an object", "came": "a list"},
    '"text"': {"rule": "not_an_object", "wanted": "an object", "came": 'the text "text"'},
    "5": {"rule": "not_an_object", "wanted": "an object", "came": "the number 5"},
    "false": {"rule": "not_an_object", "wanted": "an object", "came": "false"},
    # No JSON.
    "{": malformed("it ends too early", 1, 2),
    '{"model': malformed("it ends too early", 1, 8),
    '{"model":}': malformed(A_VALUE, 1, 10),
    '{"model":"mini"}}': malformed("nothing may follow the object", 1, 17),
    '{"model":"mini",}': malformed(A_NAME, 1, 17),
    '{"model":"mini"\n  "input"}': malformed("a comma or } must stand here", 2, 3),
    '{"model" "mini"}': malformed("a colon must stand here", 1, 10),
    "{'model':'mini'}": malformed(A_NAME, 1, 2),
    of_input('"image_urls":["a";]'): malformed("a comma or ] must stand here", 1, 60),
    '{"model":nul}': malformed(A_VALUE, 1, 10),
    '{"model":"é\\ud800"}': malformed("this is half of a surrogate pair", 1, 12),
    '{"model":"\\udc00"}': malformed("this is half of a surrogate pair", 1, 11),
    '{"model":"\\ud800\\u0041"}': malformed("this is half of a surrogate pair", 1, 11),
    '{"model":"\\x41"}': malformed("there is no such escape", 1, 11),
    '{"model":"\\u00g1"}': malformed("there is no such escape", 1, 11),
    '{"model":"a\tb"}': malformed("control characters in a text must be escaped", 1, 12),
    of_metadata("NaN"): malformed(A_VALUE, 1, 33),
    of_metadata("-Infinity"): malformed("digits must follow the sign of a number", 1, 34),
    of_metadata("01"): malformed("a number must not begin with 0", 1, 33),
    of_metadata("1."): malformed("digits must follow the point of a number", 1, 35),
    of_metadata("1e+"): malformed("digits must follow the exponent of a number", 1, 35),
    of_metadata("+1"): malformed(A_VALUE, 1, 33),
}


@pytest.mark.parametrize("body", FAULTS, ids=lambda body: body[:40])
async def test_the_service_is_told_of_the_first_fault_and_given_nothing(
    customer: Customer, body: str
) -> None:
    assert await customer.fault(body) == FAULTS[body]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"n":1}', REQUEST),
        (of_input('"n":1'), INPUT),
        ('{"input":{},"n":1}', REQUEST),
        ('{"input":{"image_urls":[1]}}', INPUT),
        ('{"metadata":{"a":1,"a":2}}', REQUEST),
    ],
)
async def test_the_fault_names_the_message_that_it_is_in(customer: Customer, body: str, message: str) -> None:
    seen = await customer.seen(body)

    assert json.loads(seen.metadata[FAULT])["message"] == message


BROKEN_UTF_8 = (
    b"\x80", b"\xc0\xaf", b"\xc2", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80", b"\xe2\x82", b"\xff",
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN_UTF_8)
async def test_what_is_not_utf_8_is_told(customer: Customer, broken: bytes) -> None:
    fault = await customer.fault('{"model":"é'.encode() + broken + b'"}')

    assert fault == malformed("this is not UTF-8", 1, 12)


LONG = ("n" * 300, "é" * 300, "😀" * 300, '"' * 300, "\u0001" * 300)


@pytest.mark.parametrize("name", LONG, ids=lambda name: ascii(name[0]))
async def test_however_long_names_are_the_header_is_short(customer: Customer, name: str) -> None:
    nested: Any = 1e300
    for _ in range(4):
        nested = {name: nested}

    deep = await customer.fault(json.dumps({"metadata": nested}, ensure_ascii=False))
    unknown = await customer.fault(json.dumps({name: 1}))
    value = await customer.fault(json.dumps({"metadata": name}))

    assert deep["field"].startswith(f"metadata.{name[:5]}")
    assert unknown["name"].rstrip("…") == name[: len(unknown["name"]) - 1]
    assert value["came"].startswith(f'the text "{name[:5]}')


FAULTLESS = {
    "{}": {},
    VALID: {"model": "mini", "input": {"prompt": "waves"}},
    f" \t\r\n{VALID}\n": {"model": "mini", "input": {"prompt": "waves"}},
    f"\ufeff{VALID}": {"model": "mini", "input": {"prompt": "waves"}},
    '{"m\\u006fdel":"m\\u0069ni \\ud83d\\ude00\\n\\/"}': {"model": "mini 😀\n/"},
    '{"model":null,"input":null,"callback_url":null,"metadata":null}': {},
    of_input('"image_urls":null,"duration":null,"watermark":null'): {
        "model": "mini",
        "input": {"prompt": "waves"},
    },
    of_input('"duration":5.0,"seed":1e1,"watermark":false,"image_urls":["a","b"]'): {
        "model": "mini",
        "input": {"prompt": "waves", "duration": 5, "seed": 10, "watermark": False, "image_urls": ["a", "b"]},
    },
    of_input('"seed":-2147483648,"duration":2147483647'): {
        "model": "mini",
        "input": {"prompt": "waves", "seed": -2147483648, "duration": 2147483647},
    },
    of_metadata('[null,true,"a",{"a":[]},[[{}]],1.50,0.30000000000000004,-9007199254740991,1e2]'): {
        "model": "mini",
        "metadata": {
            "a": [None, True, "a", {"a": []}, [[{}]], 1.5, 0.30000000000000004, -9007199254740991, 100]
        },
    },
}


@pytest.mark.parametrize("body", FAULTLESS, ids=lambda body: body[:40])
async def test_what_has_no_fault_arrives_as_it_was_sent(customer: Customer, body: str) -> None:
    assert await customer.message(body) == FAULTLESS[body]


@pytest.mark.parametrize("length", [1024, 65 * 1024, 255 * 1024])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_any_length_is_read_whole(customer: Customer, length: int, *, chunked: bool) -> None:
    body = json.dumps({"model": "mini", "input": {"prompt": "x" * length}})
    sent = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n" if chunked else body

    message = await customer.message(sent, *(["transfer-encoding: chunked"] if chunked else []))

    assert len(message["input"]["prompt"]) == length
    broken = await customer.fault(body[:-1])
    assert broken == malformed("it ends too early", 1, len(body))


BODYLESS = {
    f"{VIDEOS}/vid_1/cancel": "POST",
    "/v1/video/generations/job_1/cancel": "POST",
    f"{ENDPOINTS}/we_1/test": "POST",
    f"{ENDPOINTS}/we_1/rotate_secret": "POST",
    f"{ENDPOINTS}/we_1/confirm_secret": "POST",
    f"{ENDPOINTS}/we_1": "DELETE",
    "/v1/webhook_deliveries/whd_1/redeliver": "POST",
}


@pytest.mark.parametrize("path", BODYLESS)
async def test_where_no_body_is_needed_null_and_nothing_are_the_same(customer: Customer, path: str) -> None:
    seen = [
        await customer.seen(body, path=path, verb=BODYLESS[path])
        for body in ("", "{}", "null", " \n", " null ", "\ufeff")
    ]

    assert [each.metadata.get(FAULT) for each in seen] == [None] * len(seen)
    assert len({each.message for each in seen}) == 1
    assert len(seen[0].message) > 0


@pytest.mark.parametrize("path", BODYLESS)
async def test_what_stands_in_the_path_stands_in_no_body(customer: Customer, path: str) -> None:
    seen = await customer.seen('{"id":"other"}', path=path, verb=BODYLESS[path])

    fault = json.loads(seen.metadata[FAULT])
    assert (fault["rule"], fault["field"]) == ("unknown_field", "id")
    assert b"other" not in seen.message


async def test_a_patch_is_read_too(customer: Customer) -> None:
    path = f"{ENDPOINTS}/we_1"

    unknown = await customer.seen('{"active":false}', path=path, verb="PATCH")
    good = await customer.seen('{"enabled":false,"events":["a"]}', path=path, verb="PATCH")

    assert json.loads(unknown.metadata[FAULT])["field"] == "active"
    wanted = webhooks_service_pb2.UpdateWebhookEndpointRequest(id="we_1", enabled=False, events=["a"])
    assert webhooks_service_pb2.UpdateWebhookEndpointRequest.FromString(good.message) == wanted


GZIPPED = compress(VALID.encode())
NO_JSON: dict[str, tuple[bytes | str, list[str], str]] = {
    "gzip": (GZIPPED, ["content-encoding: gzip"], "gzip"),
    "gzip that is not said": (GZIPPED, ["content-type: application/json"], "gzip"),
    "deflate": (zlib.compress(VALID.encode()), ["content-encoding: deflate"], "deflate"),
    "deflate that is not said": (zlib.compress(VALID.encode()), [], "deflate"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", ["content-encoding: ZSTD"], "zstd"),
    "br": (b"\x0b\x02\x80", ["content-encoding: br"], "br"),
    "an unknown coding": (b"x", ["content-encoding: rot13"], "other"),
    "a coding that is only said": (VALID, ["content-encoding: gzip"], "gzip"),
    "a form": (b"model=mini", ["content-type: application/x-www-form-urlencoded"], "form"),
    "a form of parts": (b"--x\r\n", ["content-type: Multipart/form-data; boundary=x"], "multipart"),
    "plain text": (b"make me a video", ["content-type: text/plain"], "text"),
    "XML": (b"<model>", ["content-type: application/xml"], "xml"),
    "bytes": (b"\x89PNG", ["content-type: image/png"], "other"),
    "gRPC": (b"\0\0\0\0\x05\x0a\x03abc", ["content-type: application/grpc"], "gRPC"),
    "half a gRPC message": (b"\0\0\0\0\x05\x0a", ["content-type: application/grpc+proto"], "gRPC"),
    "UTF-16": (VALID.encode("utf-16"), [], "utf-16"),
    "UTF-16 without a mark": (VALID.encode("utf-16-be"), [], "utf-16"),
    "UTF-16 of the other order": (VALID.encode("utf-16-le"), [], "utf-16"),
    "UTF-32": (VALID.encode("utf-32"), [], "utf-32"),
    "UTF-32 without a mark": (VALID.encode("utf-32-be"), [], "utf-32"),
    "UTF-32 of the other order": (VALID.encode("utf-32-le"), [], "utf-32"),
}


@pytest.mark.parametrize("case", NO_JSON)
async def test_what_is_no_json_is_told_as_what_it_is(customer: Customer, case: str) -> None:
    body, headers, came = NO_JSON[case]

    assert await customer.fault(body, *headers) == {"rule": "not_json", "came": came}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
        "application/x-www-form-urlencoded",
    ],
)
async def test_what_is_json_is_taken_whatever_it_is_called(customer: Customer, content_type: str) -> None:
    message = await customer.message(VALID, f"content-type: {content_type}", "content-encoding: identity")

    assert message["model"] == "mini"


FORGED = (f"{FAULT}: {{}}", f"{CONTENT_TYPE}: multipart/form-data")


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", VIDEOS, VALID),
        ("POST", f"{VIDEOS}/vid_1/cancel", ""),
        ("GET", f"{VIDEOS}/vid_1", ""),
        ("POST", "/callbacks/token", "anything"),
    ],
)
async def test_no_customer_says_what_only_the_edge_says(
    customer: Customer, verb: str, path: str, body: str
) -> None:
    seen = await customer.seen(body, *FORGED, path=path, verb=verb)

    assert [name for name in seen.metadata if name.startswith("x-reelgate-")] == []


async def test_what_a_provider_sends_is_not_judged(customer: Customer) -> None:
    seen = await customer.seen(b'{"a":1,"a":[null]} \xff', path="/callbacks/token")

    assert b'{"a":1,"a":[null]} \xff' in seen.message
    assert FAULT not in seen.metadata
