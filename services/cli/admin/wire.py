"""Between the plain values of operators and the messages of the services."""

from dataclasses import fields
from typing import Any, TypeVar

from google.protobuf.message import Message
from reelgate.admin.v1 import account_pb2, audit_pb2

from services.cli.admin.records import Limits, Note, Spending

Record = TypeVar("Record")


def to_record(record: type[Record], message: Message, **differing: object) -> Record:
    """Returns the record with the values of the fields of the same names, and those that differ. Absent ones are None."""
    values: dict[str, Any] = dict(differing)
    for field in fields(record):  # type: ignore[arg-type]
        if field.name not in values:
            values[field.name] = _value(message, field.name)
    return record(**values)


def to_spending(spending: account_pb2.Spending) -> Spending:
    """Returns limits and what counts against them."""
    return to_record(Spending, spending, limits=to_record(Limits, spending.limits))


def to_limits_message(limits: Limits) -> account_pb2.SpendLimits:
    """Returns limits as they are sent."""
    return account_pb2.SpendLimits(
        per_job_micros=limits.per_job_micros,
        per_day_micros=limits.per_day_micros,
        per_month_micros=limits.per_month_micros,
    )


def to_note_message(note: Note) -> audit_pb2.AuditNote:
    """Returns who and why as they are sent."""
    return audit_pb2.AuditNote(actor=note.actor, reason=note.reason)


def _value(message: Message, name: str) -> Any:
    absent = message.DESCRIPTOR.fields_by_name[name].has_presence and not message.HasField(name)
    return None if absent else getattr(message, name)
