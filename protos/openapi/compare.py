"""Names what would break customers of the documents that were released: `released/` holds those.

What a document adds breaks nobody: clients ignore keys that they do not know. Whoever has to break something copies the
documents into `released/` in the same commit, where a reviewer sees it.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from protos.openapi.rules import Schema
from protos.openapi.strict import resolved

RELEASED: Final = Path(__file__).with_name("released")
DOCUMENTS: Final = Path(__file__).parents[2] / "gen" / "openapi"
_AT_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_AT_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_FIXED: Final = ("pattern", "const", "allOf", "uniqueItems")


def breaks(old: Schema, new: Schema) -> list[str]:
    """Returns what a customer of `old` would meet that `old` did not tell, one sentence each."""
    return list(_Comparison(old, new).found())


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str]] = set()

    def found(self) -> Iterator[str]:
        if any(each not in self._new["security"] for each in self._old["security"]):
            yield "a way to send the key was removed"
        for path, item in self._old["paths"].items():
            for verb, operation in item.items():
                name = f"{verb.upper()} {path}"
                new = self._new["paths"].get(path, {}).get(verb)
                yield from self._operation(name, operation, new) if new else [f"{name} was removed"]
        for event, item in self._old["webhooks"].items():
            new = self._new["webhooks"].get(event)
            yield from (
                self._webhook(event, item["post"], new["post"]) if new else [f"event {event} was removed"]
            )

    def _operation(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{name}: its operationId was changed"
        yield from self._parameters(name, old, new)
        if "requestBody" in old or "requestBody" in new:
            yield from self._body(name, old.get("requestBody"), new.get("requestBody"))
        for status, response in old["responses"].items():
            if status not in new["responses"]:
                yield f"{name}: status {status} was removed"
            else:
                yield from self._response(f"{name} {status}", response, new["responses"][status])

    def _parameters(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        before = {(each["in"], each["name"]): each for each in map(self._in_old, old["parameters"])}
        after = {(each["in"], each["name"]): each for each in map(self._in_new, new["parameters"])}
        for key, parameter in after.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{name}: parameter {key[1]} is now required"
        for key, parameter in before.items():
            if key not in after:
                yield f"{name}: parameter {key[1]} was removed"
            else:
                yield from self._request(f"{name} {key[1]}", parameter["schema"], after[key]["schema"])

    def _body(self, name: str, old: Schema | None, new: Schema | None) -> Iterator[str]:
        if old is None or new is None:
            if new is None or new["required"]:
                yield f"{name}: its body was {'removed' if new is None else 'added, and is required'}"
            return
        if new["required"] and not old["required"]:
            yield f"{name}: its body is now required"
        yield from self._request(name, _only(old["content"]), _only(new["content"]))

    def _response(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        old, new = self._in_old(old), self._in_new(new)
        yield from (f"{name}: header {each} was removed" for each in _missing(old["headers"], new["headers"]))
        codes = _missing(old.get("x-error-codes", ()), new.get("x-error-codes", ()))
        yield from (f"{name}: error code {code} was removed" for code in codes)
        yield from self._answer(name, _only(old["content"]), _only(new["content"]))

    def _webhook(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        before, after = ({each["name"] for each in item["parameters"]} for item in (old, new))
        yield from (f"event {name}: header {each} was removed" for each in _missing(sorted(before), after))
        content = (_only(item["requestBody"]["content"]) for item in (old, new))
        yield from self._answer(f"event {name}", *content)

    def _request(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        """What is asked may not be asked more strictly."""
        old, new = self._in_old(old), self._in_new(new)
        if old.get("type") != new.get("type"):
            yield f"{name}: its type was changed"
        yield from _narrowed(name, old, new)
        required = _missing(new.get("required", ()), old.get("required", ()))
        yield from (f"{name}: {key} is now required" for key in required)
        for key, schema in old.get("properties", {}).items():
            if key not in new.get("properties", {}):
                yield f"{name}: {key} was removed"
            else:
                yield from self._request(f"{name} {key}", schema, new["properties"][key])
        if "items" in old and "items" in new:
            yield from self._request(f"{name}[]", old["items"], new["items"])

    def _answer(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        """What is answered may not be less than it was."""
        if "$ref" in old:
            place = (name.partition(" ")[0], old["$ref"])
            name = f"{name} {old['$ref'].rsplit('/', 1)[-1]}"
            if place in self._seen:
                return
            self._seen.add(place)
        old, new = self._in_old(old), self._in_new(new)
        if any(old.get(key) != new.get(key) for key in ("type", "format", "const")):
            yield f"{name}: its type was changed"
        if "oneOf" in old:
            yield from self._variants(name, old, new)
        for key, schema in old.get("properties", {}).items():
            if key not in new.get("properties", {}):
                yield f"{name}: {key} was removed"
            else:
                if key in old.get("required", ()) and key not in new.get("required", ()):
                    yield f"{name}: {key} can now be absent"
                yield from self._answer(f"{name} {key}", schema, new["properties"][key])
        for key in ("items", "contentSchema"):
            if key in old:
                yield from self._answer(f"{name} {key}", old[key], new.get(key, {}))

    def _variants(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        after = {each.get("$ref") for each in new.get("oneOf", ())}
        for variant in old["oneOf"]:
            if variant["$ref"] not in after:
                yield f"{name}: variant {variant['$ref'].rsplit('/', 1)[-1]} was removed"
            else:
                yield from self._answer(name, variant, variant)

    def _in_old(self, schema: Schema) -> Schema:
        return resolved(self._old, schema["$ref"]) if "$ref" in schema else schema

    def _in_new(self, schema: Schema) -> Schema:
        return resolved(self._new, schema["$ref"]) if "$ref" in schema else schema


def _narrowed(name: str, old: Schema, new: Schema) -> Iterator[str]:
    for key in _AT_MOST:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"{name}: {key} is now {new[key]}"
    for key in _AT_LEAST:
        if key in new and new[key] > old.get(key, float("-inf")):
            yield f"{name}: {key} is now {new[key]}"
    for key in _FIXED:
        if key in new and new[key] != old.get(key):
            yield f"{name}: {key} is now {new[key]}"
    if "enum" in new and any(value not in new["enum"] for value in old.get("enum", ["anything"])):
        yield f"{name}: only {new['enum']} are allowed now"


def _missing(old: Iterable[str], new: Iterable[str]) -> list[str]:
    present = set(new)
    return [each for each in old if each not in present]


def _only(content: Mapping[str, Any]) -> Schema:
    [media] = content.values()
    schema: Schema = media["schema"]
    return schema


def main() -> None:
    """Exits with what the generated documents would break, if anything."""
    found = []
    for path in sorted(RELEASED.glob("*.json")):
        old, new = (json.loads(each.read_text(encoding="utf-8")) for each in (path, DOCUMENTS / path.name))
        found += [f"{path.stem}: {sentence}" for sentence in breaks(old, new)]
    if found:
        sys.exit("\n".join(["The OpenAPI documents would break customers of what is released:", *found]))


if __name__ == "__main__":
    main()
