import pytest

from services.common.egress.urls import has_same_origin, redirect_target

API = "https://api.example.com/v1"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/x?y",
        "https://API.example.com:443/",
        "HTTPS://api.example.com",
        f"{API}/videos",
    ],
)
def test_an_address_of_the_same_scheme_host_and_port_has_the_same_origin(url: str) -> None:
    assert has_same_origin(url, API)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "http://api.example.com:443/v1",
        "https://api.example.com:8443/v1",
        "https://api.example.com.evil.example/v1",
        "https://api.example.com./v1",
        "https://evil.example/https://api.example.com/v1",
        "https://api.example.com@evil.example/v1",
        "https://evil.example\\@api.example.com/v1",
        "https://evil.example#@api.example.com/v1",
        "//api.example.com/v1",
        "/v1",
        "",
    ],
)
def test_every_other_address_has_not(url: str) -> None:
    assert not has_same_origin(url, API)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://cdn.example/a%2Fb/../c?", "https://cdn.example/a%2Fb/../c?"),
        ("HTTP://cdn.example", "HTTP://cdn.example"),
        ("//cdn.example/a", "https://cdn.example/a"),
        ("/files/1%2F2?", "https://api.example.com:8443/files/1%2F2?"),
        ("2", "https://api.example.com:8443/v1/2"),
        ("?b", "https://api.example.com:8443/v1/1?b"),
        ("file:///etc/passwd", "file:///etc/passwd"),
    ],
)
def test_a_location_is_read_from_the_address_that_answered(location: str, target: str) -> None:
    assert redirect_target("https://api.example.com:8443/v1/1?a", location) == target
