"""Customers read why their server was not reached: sentences, never the names of what we are built of."""

import errno
import inspect
import re
import socket
import ssl
import sys

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions

from services.common.egress import answer, failures, policy, session
from services.common.egress.session_failures import session_failure_text

MODULES = (client_exceptions, http_exceptions, answer, policy, session, ssl, socket)
SENTENCE = re.compile(r"(the|no|connection|there) ([a-z0-9 ',.]|HTTP)*([a-z]|HTTP)")


def _classes() -> list[type[BaseException]]:
    # Those of Python itself: which libraries other tests have loaded is chance.
    own = {kind for kind in OSError.__subclasses__() if kind.__module__ in sys.stdlib_module_names}
    seen: set[type[BaseException]] = {OSError, Exception, *own}
    for module in MODULES:
        seen |= {
            member
            for _, member in inspect.getmembers(module, inspect.isclass)
            if issubclass(member, Exception) and not issubclass(member, Warning)
        }
    return sorted(seen, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def _raised(kind: type[BaseException]) -> BaseException:
    error = kind.__new__(kind)
    error.args = ("10.1.2.3:5432 said SECRET",)
    if isinstance(error, policy.ForbiddenUrlError):
        error.why = "must not redirect"
    return error


@pytest.mark.parametrize("kind", _classes(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_the_clients_has_a_sentence(kind: type[BaseException]) -> None:
    text = session_failure_text(_raised(kind))

    assert SENTENCE.fullmatch(text)
    names = {each.__name__ for each in kind.__mro__} | {"SECRET", "10.1.2.3", "5432", "aiohttp"}
    assert not [name for name in names if name.lower() in text.lower().replace(" ", "").split()]
    assert not re.search(r"[A-Z]|_|error|exception", text.replace("HTTP", ""))


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_fault_of_the_system_has_a_sentence(number: int) -> None:
    text = session_failure_text(OSError(number, "at 10.1.2.3"))

    assert SENTENCE.fullmatch(text)
    assert "10.1" not in text


def test_the_cause_of_a_failed_connection_is_told() -> None:
    refused = OSError(errno.ECONNREFUSED, "refused")

    assert session_failure_text(aiohttp.ClientConnectorError(None, refused)) == "connection refused"  # type: ignore[arg-type]


def test_no_sentence_is_for_nothing() -> None:
    kinds = [kind for kind, _ in failures._BY_CLASS]
    shadowed = [
        kind
        for index, kind in enumerate(kinds)
        if any(issubclass(kind, earlier) for earlier in kinds[:index])
    ]

    assert shadowed == []
