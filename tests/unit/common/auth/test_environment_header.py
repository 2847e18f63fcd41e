"""`X-NextAPI-Environment`: empty is absent, case and spaces around it do not matter, and it must agree with the key."""

from dataclasses import replace
from typing import Any, cast

import pytest

from services.common.auth.authentication import KeyCache, authenticated
from services.common.errors import Reason, ServiceError
from tests.unit.common.auth.test_authentication import ACME, METHOD, Call, Keys, key

SERVICE = METHOD.split("/")[1]


async def _call(environment: str, header: str) -> object:
    prefix = f"nxa_{environment}_sk_"
    keys = Keys(key(prefix))
    keys.caller = replace(ACME, contract="nextapi", environment=environment)

    async def answer(_request: Any, _context: Any) -> str:
        return "let in"

    middleware = authenticated(KeyCache(keys.look_up), {SERVICE: frozenset({"nextapi"})})
    call = Call(x_api_key=key(prefix), x_nextapi_environment=header)
    return await middleware(METHOD, answer)(None, cast("Any", call))


@pytest.mark.parametrize("environment", ["live", "test"])
async def test_every_spelling_of_the_keys_environment_agrees_and_so_does_none(environment: str) -> None:
    spellings = {
        environment,
        environment.upper(),
        environment.title(),
        environment.swapcase(),
        f" {environment}\t",
    }

    for header in (*spellings, "", " "):
        assert await _call(environment, header) == "let in", header


@pytest.mark.parametrize(("environment", "other"), [("live", "Test"), ("test", "LIVE"), ("live", "staging")])
async def test_the_name_of_another_environment_is_refused(environment: str, other: str) -> None:
    with pytest.raises(ServiceError) as refused:
        await _call(environment, other)

    assert refused.value.reason is Reason.KEY_INVALID
