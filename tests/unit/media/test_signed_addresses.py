"""An address of an upload works as it was signed, for one method and until its moment, and in no other way."""

from urllib.parse import parse_qsl

import pytest

from services.media.signed_addresses import AddressSigner, BadAddress, BadAddressError

SIGNER = AddressSigner(secret="ours")
NAME = "uploads/upl_1.png"


def query(signed: str) -> dict[str, str]:
    return dict(parse_qsl(signed.partition("?")[2]))


def refusal(
    method: str, name: str, said: dict[str, str], *, now: float = 90, by: AddressSigner = SIGNER
) -> BadAddress:
    with pytest.raises(BadAddressError) as caught:
        by.check(method, name, said, now=now)
    return caught.value.why


def test_a_signed_address_works_until_its_moment() -> None:
    said = query(SIGNER.sign("PUT", NAME, expires_at=100, size_max=7))
    assert SIGNER.check("PUT", NAME, said, now=100) == 7
    assert refusal("PUT", NAME, said, now=101) is BadAddress.EXPIRED


def test_a_size_may_be_absent_but_not_taken_away() -> None:
    assert SIGNER.check("GET", NAME, query(SIGNER.sign("GET", NAME, expires_at=100)), now=1) is None
    said = query(SIGNER.sign("PUT", NAME, expires_at=100, size_max=7))
    del said["size_max"]
    assert refusal("PUT", NAME, said) is BadAddress.NOT_OURS


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "101"},
        {"expires": "9" * 5_000},
        {"expires": "x"},
        {"size_max": "8"},
        {"size_max": "-1"},
        {"signature": ""},
        {"signature": "ü"},
    ],
)
def test_a_changed_address_is_not_ours(change: dict[str, str]) -> None:
    said = query(SIGNER.sign("PUT", NAME, expires_at=100, size_max=7))
    assert refusal("PUT", NAME, said | change) is BadAddress.NOT_OURS


def test_an_address_is_for_one_method_name_and_secret() -> None:
    said = query(SIGNER.sign("GET", NAME, expires_at=100))
    assert refusal("PUT", NAME, said) is BadAddress.NOT_OURS
    assert refusal("GET", "uploads/upl_2.png", said) is BadAddress.NOT_OURS
    assert refusal("GET", NAME, said, by=AddressSigner(secret="theirs")) is BadAddress.NOT_OURS
    assert refusal("GET", NAME, {}) is BadAddress.NOT_OURS
