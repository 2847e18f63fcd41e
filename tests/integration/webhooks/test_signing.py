"""Which secret signs for an account: one for each environment, rotated as those of endpoints are, and sealed anew."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from reelgate.admin.v1 import signing_secret_service_pb2 as pb
from reelgate.admin.v1.audit_pb2 import AuditNote
from standardwebhooks import WebhookVerificationError

from services.common.audit.note import AuditNote as Note
from services.common.errors import Reason, ServiceError
from services.common.postgres.database import open_pool
from services.common.rpc.enums import environment_value
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.sealed_rows import SqlSealedRows
from services.webhooks.wiring import Role
from tests.integration.webhooks.dispatching import open_bench, register
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.service import Client, Database, event, open_client
from tests.patience import PATIENCE_SECONDS
from tests.standard_webhooks import verified

AUDIT = AuditNote(actor="ops", reason="leaked")
NOTE = Note(actor="ops", reason="a new key")


async def _call(client: Client, method: str, *, environment: str = "live", **fields: Any) -> Any:
    request = getattr(pb, f"{method}Request")(
        account_id="acct_1", environment=environment_value(environment), **fields
    )
    return await getattr(client.secrets, method)(request, timeout=PATIENCE_SECONDS)


async def _signed_by(database: Database, settings: WebhooksSettings, **changes: Any) -> list[str]:
    """Returns what signs a callback of now, in its order."""
    async with open_bench(settings) as bench:
        await database.rows("TRUNCATE events, heard, deliveries, attempts, heads, lanes, turns")
        await bench.accept(event("vid_1", **changes))
        [delivery] = [each for each in await bench.claim() if each.target_id == "callback"]
        return [bench.secrets.reveal(each) for each in delivery.sealed_secrets]


async def test_each_environment_has_its_own_secret(settings: WebhooksSettings, database: Database) -> None:
    async with open_client(settings, role=Role.API) as client:
        secrets = {name: await client.ensure_secret("acct_1", name) for name in ("live", "test")}

    for environment, secret in secrets.items():
        assert await _signed_by(database, settings, environment=environment) == [secret]


async def test_a_rotation_signs_with_the_old_secret_first_until_it_is_confirmed(
    settings: WebhooksSettings, database: Database
) -> None:
    async with open_client(settings, role=Role.API) as client:
        old = await client.ensure_secret("acct_1")
        untouched = await client.ensure_secret("acct_1", "test")
        lost = (await _call(client, "RotateSigningSecret", audit=AUDIT)).secret
        rotated = await _call(client, "RotateSigningSecret", audit=AUDIT)
        before = await _signed_by(database, settings)
        confirmed = await _call(client, "ConfirmSigningSecret", audit=AUDIT)
        again = await _call(client, "ConfirmSigningSecret", audit=AUDIT)
        after = await _signed_by(database, settings)
        await database.rows(
            "UPDATE account_secrets SET previous_until = now() WHERE previous_until IS NOT NULL"
        )
        at_last = await _signed_by(database, settings)

    assert lost not in before
    assert rotated.signing.rotating
    assert before == [old, rotated.secret]
    assert after == [rotated.secret, old]
    assert at_last == [rotated.secret]
    assert not confirmed.signing.rotating
    assert again.signing == confirmed.signing
    assert await _signed_by(database, settings, environment="test") == [untouched]


async def test_nothing_is_confirmed_that_was_not_rotated(settings: WebhooksSettings) -> None:
    async with open_client(settings, role=Role.API) as client:
        with pytest.raises(ServiceError) as unknown:
            await _call(client, "RotateSigningSecret", audit=AUDIT)
        await client.ensure_secret("acct_1")
        with pytest.raises(ServiceError) as unrotated:
            await _call(client, "ConfirmSigningSecret", audit=AUDIT)

    assert unknown.value.reason is Reason.ACCOUNT_NOT_FOUND
    assert unrotated.value.reason is Reason.SIGNING_NOT_ROTATING


@pytest.mark.parametrize(("contract", "is_signed"), [("seedancee2", False), ("nextapi", True)])
async def test_signing_can_be_switched_off_where_the_contract_leaves_that_open(
    settings: WebhooksSettings, database: Database, contract: str, *, is_signed: bool
) -> None:
    async with open_client(settings, role=Role.API) as client:
        await client.ensure_secret("acct_1")
        off = await _call(client, "SetSigning", signing=False, audit=AUDIT)
        signed = await _signed_by(database, settings, contract=contract)
        await _call(client, "SetSigning", signing=True, audit=AUDIT)

    assert not off.signing.signing
    assert bool(signed) is is_signed
    assert len(await _signed_by(database, settings, contract=contract)) == 1


async def test_what_operators_change_is_audited(settings: WebhooksSettings, database: Database) -> None:
    async with open_client(settings, role=Role.API) as client:
        await client.ensure_secret("acct_1")
        await _call(client, "RotateSigningSecret", audit=AUDIT)
        await _call(client, "ConfirmSigningSecret", audit=AUDIT)
        await _call(client, "SetSigning", audit=AUDIT)

    rows = await database.rows("SELECT actor, action, subject_id, reason, details FROM audit ORDER BY number")
    assert [row["action"] for row in rows] == [
        "signing_secret.rotate",
        "signing_secret.confirm",
        "signing.switch",
    ]
    assert {(row["actor"], row["subject_id"], row["reason"]) for row in rows} == {("ops", "acct_1", "leaked")}
    assert rows[-1]["details"] == {"environment": "live", "is_signing": False}


@pytest.mark.parametrize(("environment", "says"), [("live", None), ("test", "true")])
async def test_deliveries_of_test_say_so(
    settings: WebhooksSettings, receiver: Receiver, environment: str, says: str | None
) -> None:
    async with open_bench(settings) as bench:
        await bench.accept(event("vid_1", environment=environment, target_url=receiver.url))
        await bench.deliver_due()

    assert receiver.received[0].headers.get("X-Reelgate-Test") == says


async def test_the_secret_of_before_goes_on_in_both_environments(
    settings: WebhooksSettings, database: Database
) -> None:
    sealed = Fernet(settings.secret_key.get_secret_value()).encrypt(b"whsec_b2xk")
    await database.rows(
        "INSERT INTO signing_secrets (account_id, sealed_secret) VALUES ('acct_1', %s)", sealed
    )

    for environment in ("live", "test"):
        assert await _signed_by(database, settings, environment=environment) == ["whsec_b2xk"]


async def test_everything_is_sealed_with_the_newest_key_in_batches_that_may_be_cut_off(
    settings: WebhooksSettings, database: Database, receiver: Receiver
) -> None:
    old, new = settings.secret_key.get_secret_value(), Fernet.generate_key().decode()
    endpoints = {
        f"whe_{number}": await register(database, settings, f"whe_{number}", url=receiver.url)
        for number in range(3)
    }
    async with open_client(settings, role=Role.API) as client:
        await client.ensure_secret("acct_1", "test")
        account_secret = await client.ensure_secret("acct_1")
        next_secret = (await _call(client, "RotateSigningSecret", audit=AUDIT)).secret
    await database.rows(
        "INSERT INTO account_secrets (account_id, environment, sealed_secret) VALUES ('acct_0', 'live', 'stray')"
    )
    await database.rows(
        """INSERT INTO listeners (listener_id, account_id, environment, events, sealed_secret, ends_at)
        VALUES ('whl_1', 'acct_1', 'live', '{}', %s, now())""",
        Fernet(old).encrypt(b"whsec_b2xk"),
    )
    both = settings.model_copy(update={"secret_key": SecretStr(f"{new},{old}")})

    first = await _reseal(both, batches=2)
    whole = await _reseal(both)
    again = await _reseal(both)

    newest_only = settings.model_copy(update={"secret_key": SecretStr(new)})
    assert (first["resealed"], whole["resealed"], again["resealed"]) == (1, 5, 0)
    assert (again["examined"], again["unreadable"]) == (7, 1)
    assert await _signed_by(database, newest_only) == [account_secret, next_secret]
    rows = await database.rows("SELECT endpoint_id, sealed_secret FROM endpoints")
    assert {
        row["endpoint_id"]: Fernet(new).decrypt(row["sealed_secret"]).decode() for row in rows
    } == endpoints
    [listener] = await database.rows("SELECT sealed_secret FROM listeners")
    assert Fernet(new).decrypt(listener["sealed_secret"]) == b"whsec_b2xk"


async def _reseal(settings: WebhooksSettings, *, batches: int = 100) -> dict[str, int]:
    counts = {"examined": 0, "resealed": 0, "unreadable": 0}
    after = ""
    async with open_pool(settings.database_url, name="test", connections_max=1) as pool:
        rows = SqlSealedRows(pool, settings.sealing_keys)
        for _ in range(batches):
            batch = await rows.reseal(after=after, rows_max=1, note=NOTE)
            for name in counts:
                counts[name] += getattr(batch, f"{name}_count")
            after = batch.next_page_token
            if not after:
                break
    return counts


async def test_what_was_sealed_with_an_older_key_signs_before_it_is_sealed_anew(
    settings: WebhooksSettings, receiver: Receiver
) -> None:
    async with open_client(settings, role=Role.API) as client:
        secret = await client.ensure_secret("acct_1")
    keys = f"{Fernet.generate_key().decode()}, {settings.secret_key.get_secret_value()}"
    async with open_client(settings.model_copy(update={"secret_key": SecretStr(keys)})) as client:
        await client.accept(event("vid_1", target_url=receiver.url))
        await receiver.arrival(1)

    [received] = receiver.received
    verified(received.body, received.headers, secret=secret, at=received.came_at)
    with pytest.raises(WebhookVerificationError):
        verified(received.body, received.headers, secret="whsec_b3RoZXI=", at=received.came_at)
