from collections.abc import AsyncIterator

import pytest
from cryptography.fernet import Fernet

from services.webhooks.settings import WebhooksSettings
from tests.conftest import KEY_SECRET, MakeDatabase
from tests.integration.webhooks.receiver import Receiver, open_receiver
from tests.integration.webhooks.service import Database


@pytest.fixture
def settings(make_database: MakeDatabase) -> WebhooksSettings:
    return WebhooksSettings.model_validate(
        {
            "database_url": make_database("webhooks"),
            "key_checksum_secrets": KEY_SECRET,
            "internal_address": "127.0.0.1:0",
            "public_address": "127.0.0.1:0",
            "admin_address": "127.0.0.1:0",
            "health_address": "127.0.0.1:0",
            "plaintext_internal": True,
            "billing_target": "127.0.0.1:1",
            "secret_key": Fernet.generate_key().decode(),
            "private_targets_allowed": "127.0.0.0/8",
        }
    )


@pytest.fixture
def database(settings: WebhooksSettings) -> Database:
    return Database(settings.database_url)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as receiver:
        yield receiver
