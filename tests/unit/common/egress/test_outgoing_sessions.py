"""Every outgoing request of every service goes through the guard, because nobody else can make one."""

import ast
from pathlib import Path

import services

ROOT = Path(services.__file__).parent
GUARD = ROOT / "common" / "egress" / "session.py"
CLIENTS = {"ClientSession", "request", "TCPConnector", "UnixConnector"}
OTHER_CLIENTS = {"httpx", "requests", "urllib3", "urllib.request", "http.client"}


def makers_of_clients(source: str) -> list[str]:
    """Returns what in a module makes an HTTP client, or imports a library that does."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CLIENTS - {"request"} or name in {f"aiohttp.{client}" for client in CLIENTS}:
                found.append(name)
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in OTHER_CLIENTS]
        if isinstance(node, ast.ImportFrom) and node.module in OTHER_CLIENTS:
            found.append(node.module)
    return found


def test_sessions_are_made_in_one_place() -> None:
    made = {
        str(path.relative_to(ROOT)): makers
        for path in ROOT.rglob("*.py")
        if (makers := makers_of_clients(path.read_text(encoding="utf-8")))
    }

    assert made == {"common/egress/session.py": ["aiohttp.TCPConnector", "aiohttp.ClientSession"]}


def test_that_place_never_decompresses() -> None:
    [session] = [
        node
        for node in ast.walk(ast.parse(GUARD.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "aiohttp.ClientSession"
    ]
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in session.keywords}

    assert options["auto_decompress"] == "False"
    assert options["trust_env"] == "False"


def test_the_search_sees_what_it_is_for() -> None:
    source = (
        "import requests\nfrom aiohttp import ClientSession\nClientSession()\naiohttp.request('GET', 'x')"
    )

    assert makers_of_clients(source) == ["requests", "ClientSession", "aiohttp.request"]
