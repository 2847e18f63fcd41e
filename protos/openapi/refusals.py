"""How each operation refuses: its statuses, the codes of each, and an example of every one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protos.openapi.rules import Schema, is_required
from protos.openapi.schemas import ref
from protos.openapi.source import Method, Source, UndescribedError, names_in_path
from services.common.errors import STATUS_BY_REASON, Reason

FIELD: Final = "INVALID_FIELD"
"""Its example is of the method's own fields."""
ALWAYS: Final = (
    FIELD,
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
    """One way in which an operation refuses: for a reason, or as the edge does."""

    reason: str
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
        named = (self._of_reason(name, method) for name in dict.fromkeys(reasons))
        for refusal in [*named, *_of_edge(method)]:
            found.setdefault(refusal.status, []).append(refusal)
        return dict(sorted(found.items()))

    def response(self, status: int, refusals: Sequence[Refusal]) -> Schema:
        """Returns the response of one status, with an example for every code; where operations share it, a reference."""
        response = self._response(status, refusals)
        if any(each.reason == FIELD for each in refusals):
            return response
        name = "Or".join(each.reason.title().replace("_", "") for each in refusals)
        assert self.components.setdefault(name, response) == response, f"{name} would be two responses"
        return {"$ref": f"#/components/responses/{name}"}

    def _response(self, status: int, refusals: Sequence[Refusal]) -> Schema:
        # Of several reasons with one code the first is the example; the description has them all.
        first = {each.code: each for each in reversed(refusals)}
        codes = list(dict.fromkeys(each.code for each in refusals))
        examples = {code: {"value": {"error": self._error(first[code])}} for code in codes}
        headers = {"X-Request-Id": header("RequestId")}
        if status in LIMITED:
            headers |= limit_headers()
        if status in TO_REPEAT:
            headers["Retry-After"] = header("RetryAfter")
        return {
            "description": "\n".join(f"- `{each.code}`: {each.message}" for each in refusals),
            "headers": headers,
            "content": {"application/json": {"schema": ref("Error"), "examples": examples}},
            "x-error-codes": codes,
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
        message = self._of_field(method) if name == FIELD else own or _quoted(name, comment)
        return Refusal(name, status.http, code, status.type, message)

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

    def _error(self, refusal: Refusal) -> dict[str, str]:
        error = {"code": refusal.code, "message": refusal.message}
        return error if self._contract == "nextapi" else {**error, "type": refusal.kind}


def _of_edge(method: Method) -> list[Refusal]:
    kind = "invalid_request_error"
    found = []
    if names_in_path(method.path):
        sentence = "There is no such endpoint. Check the method and the path."
        found.append(Refusal("NO_ENDPOINT", 404, "not_found", kind, sentence))
    if method.verb in {"post", "patch"}:
        sentence = "The request body must be at most 256 KiB."
        found.append(Refusal("BODY_TOO_LARGE", 413, "request_too_large", kind, sentence))
    return found


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
