"""How every process starts: it answers probes at once, and does nothing else before its database has the schema."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from services.common.postgres.schema import find_gap, until_migrated
from services.common.rpc.health import Health, open_health
from services.common.settings import ServiceSettings


@asynccontextmanager
async def starting(settings: ServiceSettings, *, service: str) -> AsyncIterator[Health]:
    """Yields the health port, which reports NOT_SERVING, once the database can be used."""
    async with open_health(settings.health_address) as health:
        await until_migrated(partial(find_gap, settings.database_url, service=service))
        yield health
