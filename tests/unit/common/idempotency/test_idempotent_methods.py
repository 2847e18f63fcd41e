from typing import Any, cast

from google.protobuf import descriptor_pool

import services.jobs.wiring.process  # noqa: F401  whatever is served is known to the pool
from services.common.idempotency.interceptor import idempotent
from services.common.idempotency.store import SqlIdempotencyKeys
from services.jobs.rpc.access import PUBLIC_ACCESS
from services.webhooks.wiring import ACCESS


async def inside(request: Any, context: Any) -> Any:
    raise AssertionError("nothing is called")


def test_exactly_the_posts_of_customers_take_an_idempotency_key() -> None:
    access = {**PUBLIC_ACCESS, **ACCESS}
    middleware = idempotent(cast("SqlIdempotencyKeys", None), access)
    methods = {
        name: f"/{service}/{name}"
        for service in access
        if service.startswith("reelgate.")
        for name in descriptor_pool.Default().FindServiceByName(service).methods_by_name
    }

    keyed = {name for name, method in methods.items() if middleware(method, inside) is not inside}

    assert keyed == {
        "CreateVideo",
        "EstimateVideo",
        "CancelVideo",
        "CreateJob",
        "CancelJob",
        "CreateWebhookEndpoint",
        "TestWebhookEndpoint",
        "RotateWebhookSecret",
        "ConfirmWebhookSecret",
        "RedeliverWebhook",
        "CreateUpload",
        "CreateWebhookRedelivery",
        "CreateWebhookListener",
    }
