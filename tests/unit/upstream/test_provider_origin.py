"""A credential follows an address that a provider named only to the provider's own API."""

import pytest

from services.upstream.call import has_origin

BASE = "https://api.provider.example/v1"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.provider.example/files/1?x=1",
        "https://API.provider.example:443/",
        "https://api.provider.example",
    ],
)
def test_the_api_itself_is_known(url: str) -> None:
    assert has_origin(url, BASE)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.provider.example/v1",
        "http://api.provider.example:443/v1",
        "https://api.provider.example:8443/v1",
        "https://cdn.provider.example/v1",
        "https://api.provider.example.evil.example/v1",
        "https://api.provider.example@evil.example/v1",
        "https://evil.example/https://api.provider.example/v1",
        "//api.provider.example/v1",
        "file:///etc/passwd",
        "https://api.provider.example\\@evil.example/v1",
        "",
    ],
)
def test_nothing_else_is_taken_for_it(url: str) -> None:
    assert not has_origin(url, BASE)
