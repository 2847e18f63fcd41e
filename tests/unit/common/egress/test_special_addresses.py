"""The guard's table of special addresses against the registries, which are written out here once more."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.egress.policy import Address, ForbiddenUrlError, UrlPolicy, check_address

# IANA IPv4 Special-Purpose Address Registry; IPv4 Address Space Registry for multicast and what is reserved.
# The last one is not IANA's: a cloud took it for its own services.
SPECIAL_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32",
            "192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24",
            "192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32", "192.168.0.0/16", "192.175.48.0/24",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "255.255.255.255/32", "168.63.129.16/32",
        ),
    )
)  # fmt: skip
# IANA IPv6 Special-Purpose Address Registry of 2025-10-09, without the two blocks that stand for IPv4 addresses.
REGISTERED_V6 = (
    "::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32",
    "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48",
    "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48",
    "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
)  # fmt: skip
# IPv4-compatible and IPv4-translated addresses, site-local ones, and all that is not global unicast space (RFC 4291;
# IANA Internet Protocol Version 6 Address Space).
UNASSIGNED_V6 = (
    "::/96",
    "::ffff:0:0:0/96",
    "200::/7",
    "1000::/4",
    "4000::/2",
    "8000::/1",
    "fec0::/10",
    "ff00::/8",
)
SPECIAL_V6 = tuple(map(IPv6Network, REGISTERED_V6 + UNASSIGNED_V6))
GLOBAL_V6 = IPv6Network("2000::/3")
# A busy machine may stop for longer than the usual deadline of an example.
thoroughly = settings(deadline=None, max_examples=300)


def _is_allowed(address: Address) -> bool:
    try:
        check_address(address, 443, UrlPolicy())
    except ForbiddenUrlError:
        return False
    return True


def _is_special_v4(address: IPv4Address) -> bool:
    return any(address in block for block in SPECIAL_V4)


def _is_special_v6(address: IPv6Address) -> bool:
    return any(address in block for block in SPECIAL_V6)


def _inside_v4(block: IPv4Network) -> st.SearchStrategy[IPv4Address]:
    return st.integers(int(block[0]), int(block[-1])).map(IPv4Address)


def _inside_v6(block: IPv6Network) -> st.SearchStrategy[IPv6Address]:
    return st.integers(int(block[0]), int(block[-1])).map(IPv6Address)


def _embeddings(address: IPv4Address) -> dict[str, IPv6Address]:
    """Every way in which an IPv6 address carries an IPv4 address."""
    number = int(address)
    prefixes = {
        "compatible": "::",
        "mapped": "::ffff:0:0",
        "translated": "::ffff:0:0:0",
        "NAT64": "64:ff9b::",
    }
    carried = {name: IPv6Address(int(IPv6Address(prefix)) | number) for name, prefix in prefixes.items()}
    return carried | {
        "local NAT64": IPv6Address(int(IPv6Address("64:ff9b:1::")) | number),
        "6to4": IPv6Address(0x2002 << 112 | number << 80),
        "server of Teredo": IPv6Address(0x2001_0000 << 96 | number << 64),
        "client of Teredo": IPv6Address(0x2001_0000 << 96 | number ^ 0xFFFF_FFFF),
    }


@pytest.mark.parametrize("block", SPECIAL_V4 + SPECIAL_V6, ids=str)
def test_a_special_block_is_shut_from_its_first_to_its_last_address(block: IPv4Network | IPv6Network) -> None:
    assert not _is_allowed(block[0])
    assert not _is_allowed(block[-1])


@pytest.mark.parametrize("block", SPECIAL_V4, ids=str)
def test_what_lies_beside_a_special_block_is_open(block: IPv4Network) -> None:
    beside = {int(block[0]) - 1, int(block[-1]) + 1} - {-1, 2**32}
    for address in map(IPv4Address, beside):
        assert _is_allowed(address) is not _is_special_v4(address), address


@pytest.mark.parametrize("block", [block for block in SPECIAL_V6 if block.subnet_of(GLOBAL_V6)], ids=str)
def test_what_lies_beside_a_special_block_of_ipv6_is_open(block: IPv6Network) -> None:
    for address in map(IPv6Address, (int(block[0]) - 1, int(block[-1]) + 1)):
        assert _is_allowed(address) is (address in GLOBAL_V6 and not _is_special_v6(address)), address


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "169.253.255.255",
        "192.0.1.1",
        "223.255.255.255",
        "2000::1",
        "2600::1",
        "2c0f::1",
    ],
)
def test_a_public_address_is_open(address: str) -> None:
    assert _is_allowed(ip_address(address))


@thoroughly
@given(st.sampled_from(SPECIAL_V4).flatmap(_inside_v4))
def test_no_special_address_is_allowed_however_it_is_embedded(address: IPv4Address) -> None:
    allowed = {name for name, carrier in _embeddings(address).items() if _is_allowed(carrier)}

    assert not _is_allowed(address)
    assert allowed == set()


@thoroughly
@given(st.sampled_from(SPECIAL_V6).flatmap(_inside_v6))
def test_no_special_address_of_ipv6_is_allowed(address: IPv6Address) -> None:
    assert not _is_allowed(address)


@thoroughly
@given(st.ip_addresses(v=4))
def test_any_other_address_is_allowed_also_mapped_or_behind_nat64(address: Address) -> None:
    assert isinstance(address, IPv4Address)
    is_public = not _is_special_v4(address)

    allowed = {name for name, carrier in _embeddings(address).items() if _is_allowed(carrier)}

    assert _is_allowed(address) is is_public
    assert allowed == ({"mapped", "NAT64"} if is_public else set())


@thoroughly
@given(_inside_v6(GLOBAL_V6))
def test_any_other_global_address_of_ipv6_is_allowed(address: IPv6Address) -> None:
    assert _is_allowed(address) is not _is_special_v6(address)
