from ipaddress import ip_address

import pytest

from services.common.egress import (
    URL_LENGTH_MAX,
    ForbiddenUrlError,
    UrlPolicy,
    check_address,
    check_url,
    parse_networks,
)

PUBLIC_ONLY = UrlPolicy()
LOOPBACK_TOO = UrlPolicy(private_targets_allowed=parse_networks("127.0.0.0/8, ::1/128"))

HOSTILE_URLS = (
    # schemes and forms
    "",
    "example.com/hook",
    "//example.com/hook",
    "/hook",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "ws://example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "http:example.com",
    "http:/example.com",
    "http:///example.com",
    "http://",
    "http://?x=1",
    "http://#x",
    "http://:80/",
    "https://[]/",
    "https://[::1",
    "https://::1]/",
    "https://[v1.x]/",
    "https://[1.2.3.4]/",
    # user names
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://@example.com/",
    "http://example.com@10.0.0.1/",
    "http://example.com:80@10.0.0.1/",
    "http://1.1.1.1&@10.0.0.1#@8.8.8.8/",
    # characters
    "http://example.com/a b",
    " http://example.com/",
    "http://example.com/\n",
    "http://example.com/\r\nX-Injected: 1",
    "http://example.com\t/",
    "http://example.com/\x00",
    "http://exam\u00adple.com/",
    "http://example.com/\u202e",
    "http://example.com\u2028/",
    "http://example.com\\@10.0.0.1/",
    "http:\\\\example.com/",
    "http://exa%00mple.com/",
    "http://127%2e0%2e0%2e1/",
    "http://%31%32%37.0.0.1/",
    # ports
    "http://example.com:22/",
    "http://example.com:8080/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:99999999999/",
    "http://example.com:-80/",
    "http://example.com:+80/",
    "http://example.com:/",
    "http://example.com:\uff18\uff10/",
    "http://example.com:80:80/",
    "http://8.8.8.8:6379/",
    # host names
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://localhost。/",
    "http://app.localhost/",
    "http://postgres/",
    "http://printer.local/",
    "http://metadata.google.internal/",
    "http://a..com/",
    "http://.com/",
    "http://example.com../",
    "http://-a.com/",
    "http://a-.com/",
    f"http://{'a' * 64}.com/",
    f"http://{'a.' * 130}com/",
    # IPv4
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.01/",
    "http://0/",
    "http://0x/",
    "http://0.0.0.0/",
    "http://256.256.256.256/",
    "http://1.2.3.4.5/",
    "http://127。0。0。1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://①②⑦.0.0.1/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://169.254.169.254/latest/meta-data/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://192.168.1.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    # IPv6
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[2001:2::1]/",
    "http://[2001:10::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://[100::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_hostile_address_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenUrlError, match=r"^must "):
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
        "https://münchen.example/päth/文件.png",
        "https://xn--mnchen-3ya.example/",
        "http://8.8.8.8/",
        "http://172.32.0.1/",
        "http://[2606:4700:4700::1111]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[64:ff9b::8.8.8.8]/",
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


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("9.255.255.255", "10.0.0.0"),
        ("11.0.0.0", "10.255.255.255"),
        ("100.63.255.255", "100.64.0.0"),
        ("100.128.0.0", "100.127.255.255"),
        ("223.255.255.255", "224.0.0.0"),
        ("2001:200::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2000::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2003::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_the_table_ends_where_its_blocks_end(inside: str, outside: str) -> None:
    check_address(ip_address(inside), 443, PUBLIC_ONLY)
    with pytest.raises(ForbiddenUrlError):
        check_address(ip_address(outside), 443, PUBLIC_ONLY)


def test_a_connection_to_an_unusual_port_is_refused() -> None:
    with pytest.raises(ForbiddenUrlError, match="must use port"):
        check_address(ip_address("8.8.8.8"), 25, PUBLIC_ONLY)


@pytest.mark.parametrize("blocks", ["10.0.0.0/33", "localhost", "10.0.0.1/8"])
def test_a_list_of_blocks_that_is_none_is_refused(blocks: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_networks(blocks)
