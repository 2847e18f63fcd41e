"""What is requested is what was given, byte for byte; and nothing but `outgoing_url` makes an address to request."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services
from services.common.egress.policy import ForbiddenUrlError, UrlPolicy
from services.common.egress.urls import check_form, check_url, origin_of, outgoing_url

ROOT = Path(services.__file__).parent
SENDABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "#\\")
REQUESTS = {"get", "post", "put", "patch", "delete", "head", "options", "request", "ws_connect"}


@given(st.text(SENDABLE, max_size=60), st.sampled_from("/?"))
def test_path_and_query_stay_as_they_are(rest: str, first: str) -> None:
    expected = first + rest if first == "/" else f"/{first}{rest}"

    for fragment in ("", "#", "#a/../b?c"):
        url = f"https://hooks.example.com{first}{rest}{fragment}"
        check_url(url, UrlPolicy())
        outgoing = outgoing_url(url)

        assert outgoing.raw_path_qs == expected
        assert (outgoing.scheme, outgoing.raw_host, outgoing.port) == ("https", "hooks.example.com", 443)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h.example", "/"),
        ("http://h.example?", "/?"),
        ("http://h.example/a?", "/a?"),
        ("http://h.example/a#b", "/a"),
        ("http://h.example/%2F%7E%41/.././/./%zz?x=+&&=%20", "/%2F%7E%41/.././/./%zz?x=+&&=%20"),
        ("http://h.example/p\u00e4th?\u6587=\u00fc", "/p%C3%A4th?%E6%96%87=%C3%BC"),
    ],
)
def test_what_is_requested(url: str, target: str) -> None:
    assert outgoing_url(url).raw_path_qs == target


def test_a_query_is_added() -> None:
    assert outgoing_url("http://h/%7E?a", {"b": "c d"}).raw_path_qs == "/%7E?a&b=c+d"
    assert outgoing_url("http://h", {"b": "^"}).raw_path_qs == "/?b=%5E"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://m\u00fcnchen.example/", "xn--mnchen-3ya.example", 443),
        ("HTTP://Example.COM:8080/", "example.com", 8080),
        ("http://[2606:4700::1]/", "2606:4700::1", 80),
        ("http://example.com./", "example.com.", 80),
        ("http://a.example/@b.example:1/", "a.example", 80),
        ("http://a.example?@b.example", "a.example", 80),
        ("http://a.example#@b.example", "a.example", 80),
    ],
)
def test_the_host_that_is_checked_is_the_one_that_is_asked(url: str, host: str, port: int) -> None:
    outgoing = outgoing_url(url)

    assert (outgoing.raw_host, outgoing.port) == (host, port) == origin_of(url)


@pytest.mark.parametrize(
    "bad", [chr(code) for code in (*range(0x21), 0x5C, 0x7F, 0x85, 0xA0, 0x2028, 0xD800)]
)
def test_what_could_end_or_split_a_request_is_never_sent(bad: str) -> None:
    for url in (
        f"http://h.example/{bad}x",
        f"http://h.example/?{bad}",
        f"http://h{bad}.example/",
        f"{bad}http://h.example/",
    ):
        with pytest.raises(ForbiddenUrlError):
            outgoing_url(url)


@pytest.mark.parametrize(
    "url", ["http://a:b@h.example/", "http://a@h.example", "http://h.example\\@x/", "ftp://h.example/"]
)
def test_what_hides_its_host_is_never_sent(url: str) -> None:
    with pytest.raises(ForbiddenUrlError):
        outgoing_url(url)


@given(st.characters(min_codepoint=0x80))
def test_other_characters_are_refused_when_they_are_given(character: str) -> None:
    for url in (f"http://h.example/{character}", f"http://h.example?{character}"):
        with pytest.raises(ForbiddenUrlError):
            check_form(url)


def ways_around(source: str) -> list[str]:
    """Returns what in a module makes an address, or requests one that `outgoing_url` has not made."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        holder, _, method = name.rpartition(".")
        if name in {"URL", "URL.build", "yarl.URL"}:
            found.append(name)
        elif method in REQUESTS and holder.endswith("session"):
            arguments = [
                *node.args,
                *(keyword.value for keyword in node.keywords if keyword.arg in {"url", "str_or_url"}),
            ]
            if not any(ast.unparse(argument).startswith("outgoing_url(") for argument in arguments):
                found.append(name)
    return found


def test_nothing_else_makes_an_address_to_request() -> None:
    found = {
        str(path.relative_to(ROOT)): ways
        for path in ROOT.rglob("*.py")
        if (ways := ways_around(path.read_text(encoding="utf-8")))
    }

    assert found == {"common/egress/urls.py": ["URL", "URL.build"]}


def test_the_search_sees_what_it_is_for() -> None:
    source = (
        "session.get(url)\nself._session.request('POST', url, data=b'')\nsession.post(outgoing_url(url))\n"
        "requests.get(url)\nURL(url, encoded=True)\nyarl.URL(url)"
    )

    assert ways_around(source) == ["session.get", "self._session.request", "URL", "yarl.URL"]
