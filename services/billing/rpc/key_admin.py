"""API keys on the wire, for operators."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.admin.v1 import key_admin_service_pb2, key_admin_service_pb2_grpc
from typing_extensions import override

from services.billing.convert import parse_key_rules, parse_limits, render_key
from services.billing.operations.keys import create_key, list_keys, rotate_key
from services.billing.store.accounts import SqlAccounts
from services.billing.store.keys import SqlKeys
from services.common.audit.servicer import parse_note
from services.common.auth.key_forms import KeyForms
from services.common.paging import cut, page_size
from services.common.rpc.enums import environment_of

Context = ServicerContext[Any, Any]


class KeyAdminServicer(key_admin_service_pb2_grpc.KeyAdminServiceServicer):
    """API keys, for operators."""

    def __init__(self, *, accounts: SqlAccounts, keys: SqlKeys, forms: KeyForms) -> None:
        self._accounts = accounts
        self._keys = keys
        self._forms = forms

    @override
    async def CreateKey(
        self, request: key_admin_service_pb2.CreateKeyRequest, context: Context
    ) -> key_admin_service_pb2.CreateKeyResponse:
        secret, key = await create_key(
            account_id=request.account_id,
            environment=environment_of(request.environment),
            note=parse_note(request.audit),
            accounts=self._accounts,
            keys=self._keys,
            forms=self._forms,
        )
        return key_admin_service_pb2.CreateKeyResponse(secret=secret, key=render_key(key))

    @override
    async def ListKeys(
        self, request: key_admin_service_pb2.ListKeysRequest, context: Context
    ) -> key_admin_service_pb2.ListKeysResponse:
        size = page_size(request.page_size)
        found = await list_keys(
            request.account_id,
            before_id=request.page_token,
            keys_max=size + 1,
            accounts=self._accounts,
            keys=self._keys,
        )
        page, token = cut(found, size, lambda key: key.key_id)
        return key_admin_service_pb2.ListKeysResponse(keys=map(render_key, page), next_page_token=token)

    @override
    async def DisableKey(
        self, request: key_admin_service_pb2.DisableKeyRequest, context: Context
    ) -> key_admin_service_pb2.DisableKeyResponse:
        key = await self._keys.disable(request.key_id, note=parse_note(request.audit))
        return key_admin_service_pb2.DisableKeyResponse(key=render_key(key))

    @override
    async def RotateKey(
        self, request: key_admin_service_pb2.RotateKeyRequest, context: Context
    ) -> key_admin_service_pb2.RotateKeyResponse:
        secret, key = await rotate_key(
            request.key_id,
            overlap_seconds=request.overlap_seconds,
            note=parse_note(request.audit),
            accounts=self._accounts,
            keys=self._keys,
            forms=self._forms,
        )
        return key_admin_service_pb2.RotateKeyResponse(secret=secret, key=render_key(key))

    @override
    async def SetKeyLimits(
        self, request: key_admin_service_pb2.SetKeyLimitsRequest, context: Context
    ) -> key_admin_service_pb2.SetKeyLimitsResponse:
        key = await self._keys.set_limits(
            request.key_id,
            limits=parse_limits(request.limits),
            note=parse_note(request.audit),
        )
        return key_admin_service_pb2.SetKeyLimitsResponse(key=render_key(key))

    @override
    async def SetKeyModels(
        self, request: key_admin_service_pb2.SetKeyModelsRequest, context: Context
    ) -> key_admin_service_pb2.SetKeyModelsResponse:
        key = await self._keys.set_models(
            request.key_id, models=request.models, note=parse_note(request.audit)
        )
        return key_admin_service_pb2.SetKeyModelsResponse(key=render_key(key))

    @override
    async def SetKeyRules(
        self, request: key_admin_service_pb2.SetKeyRulesRequest, context: Context
    ) -> key_admin_service_pb2.SetKeyRulesResponse:
        key = await self._keys.set_rules(
            request.key_id,
            rules=parse_key_rules(request.rules),
            note=parse_note(request.audit),
        )
        return key_admin_service_pb2.SetKeyRulesResponse(key=render_key(key))
