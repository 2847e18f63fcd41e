"""No sentence that customers may read names an address, a class or a part of the system."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import services
from services.common.errors import OUTAGE_MESSAGE, Reason, ServiceError, outage
from services.edge.errors import REFUSALS
from services.jobs.domain.failures import FAILURE_MESSAGE

FORBIDDEN = re.compile(
    r"(\d{1,3}\.){3}\d{1,3}|ipv[46]:|unix:|localhost|://|(?<!\d):\d{2,5}\b|traceback|"
    r"(?-i:\b\w+(Error|Exception)\b)|postgres|psycopg|\bsql|database|envoy|aiohttp|\bgrpc\b|ledger|"
    r"\bbilling\b|(jobs|webhooks) service|\bark\b|modelark|byteplus|simulator|\b(fal|replicate)\b",
    re.IGNORECASE,
)
MAKERS = {"ServiceError", "invalid_field", "ForbiddenUrlError", "NoAnswer", "Unreadable", "_refuse"}
"""What is called to make a sentence."""
CAUGHT = {"error", "exception", "exc"}
OF_CAUGHT = {"details", "debug_error_string", "detail", "__name__", "__class__", "args", "strerror"}
ROOT = Path(services.__file__).parent
SOURCES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).parts[0] not in {"cli", "devstack", "simulator"}
)


def _sentences(tree: ast.AST) -> Iterator[ast.expr]:
    """Arguments of what makes sentences, and what is named a message or a rule before it is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS:
            yield from (*node.args, *(keyword.value for keyword in node.keywords))
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in {"message", "rule"}:
            yield node.value


def _texts(sentence: ast.expr) -> Iterator[str]:
    for node in ast.walk(sentence):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _shown_failures(sentence: ast.expr) -> Iterator[str]:
    """What a caught exception says of itself."""
    for part in ast.walk(sentence):
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
            if part.value.id in CAUGHT:
                yield part.value.id
        elif isinstance(part, ast.Attribute) and part.attr in OF_CAUGHT:
            yield part.attr
        elif isinstance(part, ast.Call) and getattr(part.func, "id", "") in {"str", "repr", "type"}:
            yield from (
                argument.id
                for argument in part.args
                if isinstance(argument, ast.Name) and argument.id in CAUGHT
            )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sentence_that_the_code_makes_is_free_of_them(path: Path) -> None:
    for sentence in _sentences(ast.parse(path.read_text(encoding="utf-8"))):
        assert [text for text in _texts(sentence) if FORBIDDEN.search(text)] == [], ast.unparse(sentence)
        assert list(_shown_failures(sentence)) == [], ast.unparse(sentence)


def test_there_are_sentences_to_look_at() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES]

    assert sum(1 for tree in trees for _ in _sentences(tree)) > 100


@pytest.mark.parametrize(
    "text",
    [*OUTAGE_MESSAGE.values(), *FAILURE_MESSAGE.values(), *(message for _, _, _, message in REFUSALS)],
)
def test_every_sentence_that_is_kept_ready_is_free_of_them(text: str) -> None:
    assert not FORBIDDEN.search(text)


@pytest.mark.parametrize("contract", ["seedancee2", "nextapi"])
@pytest.mark.parametrize("reason", OUTAGE_MESSAGE)
def test_what_is_known_of_an_outage_stays_out_of_the_envelope(reason: Reason, contract: str) -> None:
    error = outage(reason, detail="ipv4:127.0.0.1:21599: Failed to connect")

    assert b"127.0.0.1" not in error.envelope(contract)
    assert "127.0.0.1" not in f"{error}{error.message}{error.metadata}"


def test_a_refusal_has_no_detail_unless_it_is_given_one() -> None:
    assert ServiceError(Reason.INTERNAL, "No.").detail == ""
