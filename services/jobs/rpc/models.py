"""Models on the wire, for those who may use them."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.models.v1 import models_service_pb2, models_service_pb2_grpc
from typing_extensions import override

from services.common.clock import Clock
from services.jobs.convert.models import render_model, render_model_detail
from services.jobs.domain.offers import Catalogue
from services.jobs.operations.get_model import get_model
from services.jobs.operations.list_models import list_models
from services.jobs.ports import Prices
from services.jobs.rpc.calls import buyer

Context = ServicerContext[Any, Any]


class ModelsServicer(models_service_pb2_grpc.ModelsServiceServicer):
    """Models, for those who may use them."""

    def __init__(self, *, catalogue: Catalogue, prices: Prices, clock: Clock) -> None:
        self._catalogue = catalogue
        self._prices = prices
        self._clock = clock

    @override
    async def ListModels(
        self, request: models_service_pb2.ListModelsRequest, context: Context
    ) -> models_service_pb2.ListModelsResponse:
        offers = await list_models(
            buyer=buyer(), catalogue=self._catalogue, prices=self._prices, moment=self._clock()
        )
        return models_service_pb2.ListModelsResponse(data=map(render_model, offers))

    @override
    async def GetModel(
        self, request: models_service_pb2.GetModelRequest, context: Context
    ) -> models_service_pb2.GetModelResponse:
        offer = await get_model(
            request.id,
            buyer=buyer(),
            catalogue=self._catalogue,
            prices=self._prices,
            moment=self._clock(),
        )
        return models_service_pb2.GetModelResponse(data=render_model_detail(offer))
