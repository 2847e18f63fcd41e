"""How each operation refuses: its statuses, the codes of each, and an example of every one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protos.openapi.rules import Schema, is_required
from protos.openapi.schemas import ref
from protos.openapi.source import Method, Source, UndescribedError, names_in_path
from services.common.errors import STATUS_BY_REASON, Reason

ALWAYS: Final = (
    "INVALID_FIELD",
    "KEY_INVALID",
    "RATE_LIMITED",
    "INTERNAL",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)
"""Why any call may be refused."""
OF_POSTS: Final = ("IDEMPOTENCY_KEY_REUSED", "IDEMPOTENCY_KEY_IN_USE")
OF_BODIES: Final = ("BODY_NOT_JSON",)
TO_REPEAT: Final = frozenset({409, 429, 503})
"""Statuses whose answers may say when to repeat the request."""
LIMITED: Final = frozenset({400, 402, 404, 409, 415, 422, 429})
"""Statuses that services answer after they have looked at the key, and so with the state of its limit."""
_QUOTED: Final = re.compile(r'"((?:\\"|[^"])*)"\.?$')
_REASON: Final = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")


@dataclass(frozen=True)
class Refusal:
    """One way in which an operation refuses."""

    status: int
    code: str
    kind: str
    message: str


class Refusals:
    """The refusals of one contract."""

    def __init__(self, source: Source, contract: str, overlay: Mapping[str, Any]) -> None:
        self._source = source
        self._contract = contract
        self._overlay = overlay
        self.components: dict[str, Schema] = {}
        """The responses that operations share, by name."""

    def of(self, method: Method, more: Iterable[str]) -> dict[int, list[Refusal]]:
        """Returns every refusal of a method by status: those its comment names, `more`, and those of all."""
        reasons = [*(_REASON.findall(method.comment)), *more, *ALWAYS]
        if method.verb == "post":
            reasons += OF_POSTS
        if method.verb in {"post", "patch"}:
            reasons += OF_BODIES
        found: dict[int, list[Refusal]] = {}
        for refusal in [
            *(self._of_reason(name, method) for name in dict.fromkeys(reasons)),
            *self._of_edge(method),
        ]:
            same = found.setdefault(refusal.status, [])
            if refusal.code not in {each.code for each in same}:
                same.append(refusal)
        return dict(sorted(found.items()))

    def response(self, status: int, refusals: Iterable[Refusal]) -> Schema:
        """Returns a reference to the response of one status, with an example for every code; or the response itself.

        Two responses of the same codes can have other examples: then only the first is a component.
        """
        refusals = list(refusals)
        name = "".join(each.title() for code in refusals for each in code.code.split("_")) + str(status)
        response = self._response(status, refusals)
        if self.components.setdefault(name, response) == response:
            return {"$ref": f"#/components/responses/{name}"}
        return response

    def _response(self, status: int, refusals: Sequence[Refusal]) -> Schema:
        examples = {each.code: {"value": {"error": self._error(each)}} for each in refusals}
        headers = {"X-Request-Id": header("RequestId")}
        if status in LIMITED:
            headers |= limit_headers()
        if status in TO_REPEAT:
            headers["Retry-After"] = header("RetryAfter")
        return {
            "description": " ".join(f"`{each.code}`: {each.message}" for each in refusals),
            "headers": headers,
            "content": {"application/json": {"schema": ref("Error"), "examples": examples}},
            "x-error-codes": [each.code for each in refusals],
        }

    def _of_reason(self, name: str, method: Method) -> Refusal:
        comment = self._source.reasons.get(name)
        if comment is None:
            raise UndescribedError(
                f"{method.name}: there is no reason {name}. Write names in capitals for reasons only."
            )
        status = STATUS_BY_REASON[Reason(name)]
        code = status.nextapi_code if self._contract == "nextapi" and status.nextapi_code else status.code
        own = self._overlay["messages"].get(self._contract, {}).get(name)
        message = self._of_field(method) if name == "INVALID_FIELD" else own or _quoted(name, comment)
        return Refusal(status.http, code, status.type, message)

    def _of_field(self, method: Method) -> str:
        """Returns what is said of a field that the method itself has, or has not."""
        in_path = names_in_path(method.path)
        fields = [
            field for field in self._source.messages[method.request].fields if field.name not in in_path
        ]
        if not method.has_body:
            return f'Unknown query parameter "colour". Allowed: {", ".join(sorted(each.name for each in fields)) or "none"}.'
        required = [field.name for field in fields if is_required(field)]
        return (
            f"Field {required[0]} is required and must not be empty."
            if required
            else "Field colour is not known."
        )

    def _of_edge(self, method: Method) -> list[Refusal]:
        kind = "invalid_request_error"
        found = []
        if names_in_path(method.path):
            found.append(
                Refusal(404, "not_found", kind, "There is no such endpoint. Check the method and the path.")
            )
        if method.verb in {"post", "patch"}:
            found.append(
                Refusal(
                    413,
                    "request_too_large",
                    kind,
                    "The request body must be at most 256 KiB. Send files with POST /v1/uploads, and name their addresses.",
                )
            )
        return found

    def _error(self, refusal: Refusal) -> dict[str, str]:
        error = {"code": refusal.code, "message": refusal.message}
        return error if self._contract == "nextapi" else {**error, "type": refusal.kind}


def header(name: str) -> Schema:
    """Returns a reference to a header of an answer."""
    return {"$ref": f"#/components/headers/{name}"}


def limit_headers() -> dict[str, Schema]:
    """Returns the headers that tell the state of a key's limit."""
    return {f"X-RateLimit-{name}": header(f"RateLimit{name}") for name in ("Limit", "Remaining", "Reset")}


def without_reasons(comment: str) -> str:
    """Returns a comment without its sentence about refusals: the responses say that."""
    return re.sub(r"\s*Refuses with [^.]*\.", "", comment).strip()


def _quoted(name: str, comment: str) -> str:
    found = _QUOTED.search(comment)
    if found is None:
        raise UndescribedError(f"Reason {name}: end its comment with a quoted example of its sentence.")
    return found[1].replace('\\"', '"')
