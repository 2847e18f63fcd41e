from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.egress.policy import ForbiddenUrlError, UrlPolicy, check_address, parse_networks
from services.common.egress.urls import URL_LENGTH_MAX, check_url
from tests.unit.common.egress.hostile_urls import HOSTILE_NAMES, HOSTILE_URLS, PORT

PUBLIC_ONLY = UrlPolicy()
LOOPBACK_TOO = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8, ::1/128"))


@pytest.mark.parametrize(
    "url", [pytest.param(url, id=f"{reason}: {url[:60]!a}") for url, reason in HOSTILE_URLS.items()]
)
def test_a_hostile_address_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenUrlError, match=r"^must "):
        check_url(url.replace(PORT, ""), PUBLIC_ONLY)


def test_the_corpus_is_broad() -> None:
    assert len(HOSTILE_URLS) + len(HOSTILE_NAMES) >= 150


@settings(deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.from_regex(r"https?://[0-9a-fA-FxX:.%@\[\]/?#\u3002\uff0e\uff10-\uff19 ]{0,40}", fullmatch=True),
    )
)
def test_whatever_is_sent_is_let_through_or_refused(url: str) -> None:
    # Nothing else may be raised.
    with suppress(ForbiddenUrlError):
        check_url(url, PUBLIC_ONLY)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTPS://Example.COM/Hook?a=b@c#d",
        "http://example.com:80/a/b?x=%20y",
        "https://example.com:443/",
        "https://example.com./",
        "https://hooks_1.example-site.co.uk/",
        "https://münchen.example/p%C3%A4th/?x=%zz&y=+#fragment",
        "https://xn--mnchen-3ya.example/",
        "http://8.8.8.8/",
        "http://172.32.0.1/",
        "http://[2606:4700:4700::1111]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[64:ff9b::8.8.8.8]/",
        "https://example.com/?next=http://127.0.0.1/",
        "https://example.com/@127.0.0.1/",
        "https://example.com#@127.0.0.1/",
        "https://127.0.0.1.example.com/",
        "https://localhost.example.com/",
        "https://1e100.example/",
        "https://faß.example/",
        "https://example.com/%0d%0a",
        "https://example.com/" + "x" * (URL_LENGTH_MAX - len("https://example.com/")),
    ],
)
def test_a_public_address_is_let_through(url: str) -> None:
    check_url(url, PUBLIC_ONLY)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/", "must be an http or https address"),
        ("https://example.com/" + "x" * URL_LENGTH_MAX, "must have at most 2048 characters"),
        ("https://a:b@example.com/", "must not contain a user name or password"),
        ("https://example.com/a b", "must not contain spaces, control characters or backslashes"),
        *(
            (
                f"https://example.com/{target}",
                "must have only ASCII characters after the host: write others as %-escapes",
            )
            for target in ("päth", "?q=ä", "文件.png")
        ),
        ("https://example.com:8443/", "must use port 80 or 443"),
        ("https://10.1.2.3/", "must not point to a private address"),
        ("https://localhost/", "must not point to a private address"),
        ("https://127.1/", "must have a valid host name or address, and a valid port if any"),
    ],
)
def test_a_refusal_says_what_the_address_must_be(url: str, why: str) -> None:
    with pytest.raises(ForbiddenUrlError) as caught:
        check_url(url, PUBLIC_ONLY)

    assert caught.value.why == why


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/hook",
        "http://[::1]:9000/hook",
        "http://[::ffff:127.0.0.1]:9000/",
        "http://localhost:9000/hook",
        "http://postgres:9000/",
    ],
)
def test_an_opened_block_is_open_on_every_port(url: str) -> None:
    check_url(url, LOOPBACK_TOO)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "http://169.254.169.254/", "http://[fe80::1]/", "http://example.com:9000/"]
)
def test_an_opened_block_opens_nothing_else(url: str) -> None:
    with pytest.raises(ForbiddenUrlError):
        check_url(url, LOOPBACK_TOO)


def test_opening_a_block_without_loopback_keeps_local_names_shut() -> None:
    policy = UrlPolicy(private_targets_allowed=parse_networks("10.0.0.0/8"))

    check_url("http://10.1.2.3:9000/", policy)
    with pytest.raises(ForbiddenUrlError):
        check_url("http://localhost/", policy)


def test_a_connection_to_an_unusual_port_is_refused() -> None:
    with pytest.raises(ForbiddenUrlError, match="must use port"):
        check_address(ip_address("8.8.8.8"), 25, PUBLIC_ONLY)


@pytest.mark.parametrize("blocks", ["10.0.0.0/33", "localhost", "10.0.0.1/8"])
def test_a_list_of_blocks_that_is_none_is_refused(blocks: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_networks(blocks)
