"""What jobs brought in, and what their attempts cost, in millionths of a US dollar."""

from dataclasses import dataclass
from enum import StrEnum

MICROS_SQUARED = 1_000_000
"""Micro-credits times the millionths of a dollar that a credit is worth, in a millionth of a dollar."""


class MarginKey(StrEnum):
    """What a report has a line for."""

    MODEL = "model"
    PROVIDER = "provider"
    ACCOUNT = "account_id"


@dataclass(frozen=True, kw_only=True)
class Margin:
    """One line of a report: jobs of the live environment that ended, by the day of their creation."""

    key: str
    """The model, the provider or the account. Empty: no provider rendered these."""
    completed_jobs: int
    failed_jobs: int
    revenue_micros: int
    """What was charged and not given back, at what a credit is worth."""
    cost_micros: int
    """What providers charged for every attempt, or possibly charged."""


def dollar_micros(product: int) -> int:
    """Returns micro-credits times millionths of a dollar for each as millionths of a dollar, a half rounded up."""
    return (2 * product + MICROS_SQUARED) // (2 * MICROS_SQUARED)
