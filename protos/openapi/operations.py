"""The operations of one document: parameters, bodies, answers, streams, callbacks and links."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from protos.openapi.refusals import Refusals, header, limit_headers, without_reasons
from protos.openapi.rules import Schema, is_required
from protos.openapi.schemas import Schemas, short
from protos.openapi.source import Method, Source, UndescribedError, names_in_path
from protos.openapi.webhooks import webhook

STREAM: Final = "text/event-stream"


class Operations:
    """Makes the operations of one contract."""

    def __init__(
        self,
        source: Source,
        contract: str,
        overlay: Mapping[str, Any],
        *,
        schemas: Schemas,
        refusals: Refusals,
    ) -> None:
        self._source = source
        self._contract = contract
        self._overlay = overlay
        self._schemas = schemas
        self._refusals = refusals

    def of(self, method: Method) -> Schema:
        """Returns the operation of a method. Raises UndescribedError if the overlay does not name it."""
        own = self._overlay["operations"].get(method.name)
        if own is None:
            raise UndescribedError(
                f"{method.name} has no entry under `operations` of overlay.yaml: give it an `id`."
            )
        summary, description = self._words(method, own)
        operation: Schema = {
            "operationId": own["id"],
            "tags": [own["tag"]],
            "summary": summary,
            **({"description": description} if description else {}),
            "parameters": self._parameters(method),
        }
        body = self._body(method, own)
        if body:
            operation["requestBody"] = body
        operation["responses"] = self._responses(method, own)
        if "callback" in own:
            operation["callbacks"] = self._callbacks(own["callback"])
        return operation

    def _words(self, method: Method, own: Mapping[str, Any]) -> tuple[str, str]:
        text = own.get("description") or without_reasons(method.comment)
        summary, _, rest = text.partition(". ")
        return own.get("summary", summary.rstrip(".")), text if "summary" in own else rest

    def _parameters(self, method: Method) -> list[Schema]:
        in_path = set(names_in_path(method.path))
        found: list[Schema] = []
        for field in self._source.messages[method.request].fields:
            place = "path" if field.name in in_path else "query"
            if place == "path" or not method.has_body:
                required = place == "path" or is_required(field)
                schema = self._schemas.parameter(method.request, field)
                found.append(
                    {
                        "name": field.name,
                        "in": place,
                        "description": field.comment,
                        **({"required": True} if required else {}),
                        "schema": schema,
                        **({} if required else _left_out(schema)),
                    }
                )
        names = [
            *(["IdempotencyKey"] if method.verb == "post" else []),
            *(["LastEventId"] if method.streams else []),
        ]
        names += self._overlay["contracts"][self._contract].get("parameters", ())
        return found + [{"$ref": f"#/components/parameters/{name}"} for name in names]

    def _body(self, method: Method, own: Mapping[str, Any]) -> Schema | None:
        schema = (
            self._schemas.request(method.request, without=names_in_path(method.path))
            if method.has_body
            else None
        )
        if schema is None:
            return None
        message = self._source.messages[method.request]
        required = any(is_required(f) for f in message.fields if f.name not in names_in_path(method.path))
        examples = {name: {"value": value} for name, value in own.get("requests", {}).items()}
        content = {"schema": schema, **({"examples": examples} if examples else {})}
        return {"required": required, "content": {"application/json": content}}

    def _responses(self, method: Method, own: Mapping[str, Any]) -> Schema:
        refused = self._refusals.of(method, own.get("refusals", ()))
        return {
            "200": self._success(method, own),
            **{str(status): self._refusals.response(status, found) for status, found in refused.items()},
        }

    def _success(self, method: Method, own: Mapping[str, Any]) -> Schema:
        headers = {"X-Request-Id": header("RequestId"), **limit_headers()}
        if method.verb == "post":
            headers["Idempotent-Replayed"] = header("IdempotentReplayed")
        if method.streams:
            content: Schema = {STREAM: {"schema": self._stream(own["stream"])}}
            words = "The events."
        else:
            examples = {name: {"value": value} for name, value in own.get("answers", {}).items()}
            schema = self._schemas.answer(method.response)
            content = {"application/json": {"schema": schema, **({"examples": examples} if examples else {})}}
            words = self._source.messages[method.response].comment
        links = {
            name: {"operationId": name, "parameters": {"id": f"$response.body#{pointer}"}}
            for name, pointer in own.get("links", {}).items()
        }
        return {
            "description": words,
            "headers": headers,
            "content": content,
            **({"links": links} if links else {}),
        }

    def _stream(self, events: Mapping[str, Any]) -> Schema:
        poll = self._schemas.answer(events["poll"])
        data = {
            "status": poll,
            "end": poll,
            "progress": self._schemas.add("Progress", self._overlay["progress"]),
        }
        data["error"] = self._schemas.add("Error", self._overlay["contracts"][self._contract]["error"])
        variants = [
            self._schemas.add(f"{name.title()}Event", self._event(name, schema))
            for name, schema in data.items()
        ]
        name = short(events["poll"]).removeprefix("Get").removesuffix("Response") + "StreamEvent"
        return self._schemas.add(
            name, {"description": self._overlay["stream"]["description"], "oneOf": variants}
        )

    def _event(self, name: str, data: Schema) -> Schema:
        own = self._overlay["stream"]["events"][name]
        numbered = (
            {"id": {"type": "string", "description": self._overlay["stream"]["id"]}}
            if own["numbered"]
            else {}
        )
        text = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
        return {
            "type": "object",
            "description": own["description"],
            "required": [*numbered, "event", "data"],
            "properties": {**numbered, "event": {"type": "string", "const": name}, "data": text},
        }

    def _callbacks(self, field: str) -> Schema:
        events = self._overlay["contracts"][self._contract]["webhooks"]
        address = f"{{$request.body#/{field}}}"
        return {
            name: {address: webhook(name, self._contract, self._overlay, self._schemas)}
            for name, event in events.items()
            if event["of"] == "job"
        }


def paths(operations: Iterable[tuple[Method, Schema]]) -> Schema:
    """Returns the operations by path and verb, in the order of their paths."""
    found: dict[str, dict[str, Schema]] = {}
    for method, operation in operations:
        found.setdefault(method.path, {})[method.verb] = operation
    return dict(sorted(found.items()))


def _left_out(schema: Schema) -> Schema:
    """Returns what keeps the reference from sending the first of some allowed values, where nobody has chosen one."""
    values = schema.get("enum")
    return {"examples": {"one": {"value": values[0], "x-disabled": True}}} if values else {}
