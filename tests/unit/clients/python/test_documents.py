"""Whatever the OpenAPI documents describe has a counterpart in the client: operations, parameters, bodies, statuses and codes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import reelgate_client
from reelgate_client import ReelgateError

from tests.unit.clients.python.conftest import Bench
from tests.unit.clients.python.service import Received, Reply

ROOT = Path(__file__).parents[4]
CONTRACTS = ("seedancee2", "nextapi")
DOCUMENTS: dict[str, Any] = {
    contract: json.loads((ROOT / "gen" / "openapi" / f"{contract}.json").read_text())
    for contract in CONTRACTS
}
RUNNING = {"seedancee2": "processing", "nextapi": "running"}
KEY = "a-key-of-ones-own"

CALLS: dict[str, Callable[[Any, dict[str, Any], dict[str, Any]], Any]] = {
    "createVideo": lambda client, body, _: client.videos.create(**body, idempotency_key=KEY),
    "estimateVideo": lambda client, body, _: client.videos.estimate(**body),
    "listVideos": lambda client, _, query: client.videos.list(**query),
    "listModels": lambda client, *_: client.models.list(),
    "getModel": lambda client, *_: client.models.get("an_id"),
    "getBalance": lambda client, *_: client.balance(),
    "getUsage": lambda client, _, query: client.usage(**query),
    "getUpload": lambda client, *_: client.uploads.get("an_id"),
    "deleteUpload": lambda client, *_: client.uploads.delete("an_id"),
    "createWebhookEndpoint": lambda client, body, _: client.webhook_endpoints.create(
        **body, idempotency_key=KEY
    ),
    "listWebhookEndpoints": lambda client, *_: client.webhook_endpoints.list(),
    "getWebhookEndpoint": lambda client, *_: client.webhook_endpoints.get("an_id"),
    "updateWebhookEndpoint": lambda client, body, _: client.webhook_endpoints.update("an_id", **body),
    "deleteWebhookEndpoint": lambda client, *_: client.webhook_endpoints.delete("an_id"),
    "testWebhookEndpoint": lambda client, *_: client.webhook_endpoints.test("an_id", idempotency_key=KEY),
    "rotateWebhookSecret": lambda client, *_: client.webhook_endpoints.rotate_secret(
        "an_id", idempotency_key=KEY
    ),
    "confirmWebhookSecret": lambda client, *_: client.webhook_endpoints.confirm_secret(
        "an_id", idempotency_key=KEY
    ),
    "createWebhookListener": lambda client, body, _: client.webhook_listeners.create(
        **body, idempotency_key=KEY
    ),
    "listWebhookListeners": lambda client, *_: client.webhook_listeners.list(),
    "readWebhookListener": lambda client, _, query: client.webhook_listeners.read("an_id", **query),
    "deleteWebhookListener": lambda client, *_: client.webhook_listeners.delete("an_id"),
    "listWebhookDeliveries": lambda client, _, query: client.webhook_deliveries.list(**query),
    "getWebhookDelivery": lambda client, *_: client.webhook_deliveries.get("an_id"),
    "redeliver": lambda client, *_: client.webhook_deliveries.redeliver("an_id", idempotency_key=KEY),
    "createRedelivery": lambda client, body, _: client.redeliveries.create(**body, idempotency_key=KEY),
    "getRedelivery": lambda client, *_: client.redeliveries.get("an_id"),
}
"""What calls each operation, with the whole body and query that its document describes."""
OF_HANDLES: dict[str, Callable[[Any], Any]] = {
    "getVideo": lambda video: video.wait(),
    "cancelVideo": lambda video: video.cancel(),
    "deleteVideo": lambda video: video.delete(),
    "streamVideoEvents": lambda video: video.events(),
}
"""What calls an operation with a handle."""
SENT_BY_UPLOADS = {"createUpload"}
"""What `uploads.create` sends, as test_files.py shows."""
CLASSES = {
    401: "AuthenticationError",
    402: "InsufficientCreditsError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "ConflictError",
    429: "RateLimitError",
    500: "ServerError",
    503: "ServerError",
    504: "ServerError",
    400: "InvalidRequestError",
    413: "InvalidRequestError",
    415: "InvalidRequestError",
}


@dataclass(frozen=True)
class Operation:
    """One operation of a document."""

    contract: str
    method: str
    path: str
    described: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.described["operationId"])

    def parameters(self, place: str) -> dict[str, Any]:
        found = [_resolved(self.contract, each) for each in self.described.get("parameters", ())]
        return {each["name"]: _sample(self.contract, each["schema"]) for each in found if each["in"] == place}

    @property
    def body(self) -> dict[str, Any]:
        content = self.described.get("requestBody", {}).get("content", {}).get("application/json")
        sample: dict[str, Any] = _sample(self.contract, content["schema"]) if content else {}
        return sample


def operations() -> Iterator[Operation]:
    for contract in CONTRACTS:
        for path, methods in DOCUMENTS[contract]["paths"].items():
            for method, described in methods.items():
                yield Operation(contract, method.upper(), path, described)


OPERATIONS = list(operations())


def _resolved(contract: str, found: dict[str, Any]) -> Any:
    while "$ref" in found:
        place = DOCUMENTS[contract]
        for part in found["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        found = place
    return found


def _sample(contract: str, schema: dict[str, Any]) -> Any:
    schema = _resolved(contract, schema)
    if "enum" in schema or "const" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    match schema["type"]:
        case "object":
            return {name: _sample(contract, each) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [_sample(contract, schema["items"])]
        case "integer" | "number":
            return schema.get("minimum", 7)
        case "boolean":
            return True
        case "string":
            return "https://example.com/a"
    raise AssertionError(schema)


def answered(operation: Operation) -> Reply:
    """What any operation may answer, as far as the client looks at it."""
    video = {"id": "an_id", "status": RUNNING[operation.contract], "model": "m"}
    ended = {"id": "an_id", "status": "completed" if operation.contract == "seedancee2" else "succeeded"}
    if operation.name == "streamVideoEvents":
        shown = {"data": ended} if operation.contract == "seedancee2" else ended
        return Reply(200, f"event: end\ndata: {json.dumps(shown)}\n\n".encode())
    if operation.name.startswith("list"):
        return Reply(200, {"data": [], "limit": 1, "offset": 0, "has_more": False})
    if operation.name == "getVideo":
        video = ended
    thing = {**video, "url": "https://example.com/a", "deleted": True}
    bare = operation.contract == "nextapi" and operation.path.startswith("/v1/video/")
    return Reply(200, thing if bare else {"data": thing})


def called(bench: Bench, operation: Operation) -> Received:
    """Has the client call an operation with all that its document describes. Returns the request."""
    client = bench.client(operation.contract, environment="test")
    if operation.name in OF_HANDLES:
        handle = client.videos.handle({"id": "an_id", "status": RUNNING[operation.contract]})
        bench.service.replies = [answered(operation)]
        bench.do(OF_HANDLES[operation.name](handle))
    else:
        bench.service.replies = [answered(operation)]
        bench.do(CALLS[operation.name](client, operation.body, operation.parameters("query")))
    return bench.service.received[-1]


def named(operation: Operation) -> str:
    return f"{operation.contract}-{operation.name}"


def test_every_operation_has_a_method_and_every_method_an_operation() -> None:
    assert {each.name for each in OPERATIONS} == {*CALLS, *OF_HANDLES, *SENT_BY_UPLOADS}


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.name not in SENT_BY_UPLOADS], ids=named
)
def test_an_operation_is_called_with_all_its_parameters(bench: Bench, operation: Operation) -> None:
    sent = called(bench, operation)

    path, _, query = sent.path.partition("?")
    assert (sent.method, path) == (operation.method, operation.path.replace("{id}", "an_id"))
    assert set(operation.parameters("path")) <= {"id"}
    assert {each.partition("=")[0] for each in query.split("&") if query} >= set(
        operation.parameters("query")
    )
    if operation.body:
        assert sent.json == operation.body
    for header in operation.parameters("header"):
        assert header.lower() in sent.headers or header == "Last-Event-ID", header


def test_what_an_upload_is_announced_with_is_described() -> None:
    described = {frozenset(each.body) for each in OPERATIONS if each.name in SENT_BY_UPLOADS}

    assert described == {frozenset({"content_type", "size_bytes"})}


def refusals() -> list[tuple[str, int, str]]:
    found: set[tuple[str, int, str]] = set()
    for operation in OPERATIONS:
        for status, described in operation.described["responses"].items():
            response = _resolved(operation.contract, described)
            if not status.startswith("2"):
                assert response["x-error-codes"], (operation.name, status)
                found |= {(operation.contract, int(status), code) for code in response["x-error-codes"]}
    return sorted(found)


@pytest.mark.parametrize(("contract", "status", "code"), refusals())
def test_every_refusal_has_a_class_of_its_own(bench: Bench, contract: str, status: int, code: str) -> None:
    bench.service.replies = [Reply(status, {"error": {"code": code, "message": "m"}})]

    with pytest.raises(ReelgateError) as raised:
        bench.do(bench.client(contract, max_retries=0).balance())

    assert type(raised.value) is getattr(reelgate_client, CLASSES[status])
    assert (raised.value.status, raised.value.code) == (status, code)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_status_of_a_video_is_known(bench: Bench, contract: str) -> None:
    schemas = DOCUMENTS[contract]["components"]["schemas"]
    union = schemas["Video" if contract == "seedancee2" else "Job"]
    client = bench.client(contract)

    running: set[str] = set()
    succeeded: set[str] = set()
    failed: set[str] = set()
    for status in union["discriminator"]["mapping"]:
        video = client.videos.handle({"id": "an_id", "status": status})
        (running if video.running else succeeded if video.succeeded else failed).add(status)

    both = {"seedancee2": ({"pending", "processing"}, {"completed"}, {"failed"})}
    assert (running, succeeded, failed) == both.get(
        contract, ({"queued", "running"}, {"succeeded"}, {"failed", "canceled"})
    )
