"""What buf does not check about our protos: repeated calls, examples of reasons, units, and paging."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodOptions,
)

OURS = "reelgate."
PRIVATE = ("reelgate.admin.", "reelgate.internal.")
"""What only operators and our own services see. The public contracts keep the names that their customers know."""
PAGING = (("page_size", "page_token"), ("next_page_token",))
OTHER_PAGING = frozenset({"limit", "cursor", "next_cursor", "offset", "after", "before"})
_SERVICE, _METHOD, _MESSAGE, _FIELD, _NESTED, _ENUM, _VALUE = 6, 2, 4, 2, 3, 5, 2
"""Numbers of the fields of a descriptor: the paths of comments consist of them."""

Path = tuple[int, ...]
Comments = dict[Path, str]


def departures(image: FileDescriptorSet) -> list[str]:
    """Returns where our packages depart from a convention, and what to change. The image must have its comments."""
    found: list[str] = []
    for file in image.file:
        if file.package.startswith(OURS):
            comments = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}
            found += _unclear_repetitions(file, comments)
            found += _reasons_without_example(file, comments)
            found += _micros_of_no_credits(file, comments)
            if file.package.startswith(PRIVATE):
                found += _other_paging(file)
    return found


def _unclear_repetitions(file: FileDescriptorProto, comments: Comments) -> Iterator[str]:
    for at, service in enumerate(file.service):
        for index, method in enumerate(service.method):
            has_level = method.options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
            if not has_level and "Repeating it" not in comments.get((_SERVICE, at, _METHOD, index), ""):
                yield (
                    f"{file.package}.{service.name}.{method.name}: set idempotency_level to NO_SIDE_EFFECTS or IDEMPOTENT."
                    ' If neither is true, say in the comment what happens: "Repeating it …"'
                )


def _reasons_without_example(file: FileDescriptorProto, comments: Comments) -> Iterator[str]:
    for at, enum in enumerate(file.enum_type):
        for index, value in enumerate(enum.value):
            has_example = '"' in comments.get((_ENUM, at, _VALUE, index), "")
            if enum.name == "Reason" and value.number != 0 and not has_example:
                yield f"{file.package}.{value.name}: quote a sentence that is sent with it in the comment"


def _micros_of_no_credits(file: FileDescriptorProto, comments: Comments) -> Iterator[str]:
    for path, message in _messages(file.message_type, (_MESSAGE,)):
        for index, field in enumerate(message.field):
            told = comments.get(path, "") + comments.get((*path, _FIELD, index), "")
            if "micros" in field.name.split("_") and "credits" not in told.lower():
                yield (
                    f"{file.package}.{message.name}.{field.name}: micros are of credits, so say so in the comment;"
                    " name a moment or a duration in microseconds _us"
                )


def _other_paging(file: FileDescriptorProto) -> Iterator[str]:
    fields = {message.name: {field.name for field in message.field} for message in file.message_type}
    for name, names in fields.items():
        if strange := names & OTHER_PAGING:
            yield f"{file.package}.{name}.{min(strange)}: page with page_size, page_token and next_page_token"
    for service in file.service:
        for method in service.method:
            ends = [
                fields.get(end.rsplit(".", 1)[-1], set()) for end in (method.input_type, method.output_type)
            ]
            # A list that takes no choice is always whole.
            if method.name.startswith("List") and ends[0]:
                for lacking in (
                    name for end, names in zip(ends, PAGING, strict=True) for name in names if name not in end
                ):
                    yield f"{file.package}.{service.name}.{method.name}: needs {lacking}, to be paged"


def _messages(messages: Iterable[DescriptorProto], at: Path) -> Iterator[tuple[Path, DescriptorProto]]:
    for index, message in enumerate(messages):
        path = (*at, index)
        yield path, message
        yield from _messages(message.nested_type, (*path, _NESTED))
