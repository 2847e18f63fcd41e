"""Models on the wire, for those who may use them."""

from typing import Any

from grpc.aio import ServicerContext
from reelgate.models.v1 import models_service_pb2 as pb
from reelgate.models.v1.models_service_pb2_grpc import ModelsServiceServicer
from typing_extensions import override

from services.jobs.convert.models import render_model, render_model_detail
from services.jobs.operations.models import ModelOperations
from services.jobs.rpc.calls import buyer

Context = ServicerContext[Any, Any]


class ModelsServicer(ModelsServiceServicer):
    """Models, for those who may use them."""

    def __init__(self, models: ModelOperations) -> None:
        self._models = models

    @override
    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        offers = await self._models.all_of(buyer())
        return pb.ListModelsResponse(data=map(render_model, offers))

    @override
    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        offer = await self._models.get(request.id, buyer=buyer())
        return pb.GetModelResponse(data=render_model_detail(offer))
