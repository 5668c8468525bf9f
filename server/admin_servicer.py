"""AdminService: one short method per RPC."""

from __future__ import annotations

from functools import partial
from typing import Any

import grpc.aio
from glyphwire.v1 import admin_pb2, admin_pb2_grpc

from server import convert
from server.errors import RequestInvalid
from server.model_admin import ModelAdmin

_Context = grpc.aio.ServicerContext[Any, Any]


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """glyphwire.v1.AdminService. Who may call it is checked before, by Authentication."""

    def __init__(self, models: ModelAdmin) -> None:
        self._models = models

    async def LoadModel(  # noqa: N802 - named by the contract
        self, request: admin_pb2.LoadModelRequest, context: _Context
    ) -> admin_pb2.LoadModelResponse:
        """Load a bundle of the models folder."""
        del context
        change = partial(self._models.shelf.load, _named(request.model))
        return admin_pb2.LoadModelResponse(models=convert.model_statuses(await self._models.change(change)))

    async def UnloadModel(  # noqa: N802 - named by the contract
        self, request: admin_pb2.UnloadModelRequest, context: _Context
    ) -> admin_pb2.UnloadModelResponse:
        """Unload what requests find by a name."""
        del context
        change = partial(self._models.shelf.unload, _named(request.model))
        return admin_pb2.UnloadModelResponse(models=convert.model_statuses(await self._models.change(change)))

    async def ReloadModels(  # noqa: N802 - named by the contract
        self, request: admin_pb2.ReloadModelsRequest, context: _Context
    ) -> admin_pb2.ReloadModelsResponse:
        """Do what the models folder says."""
        del request, context
        statuses = await self._models.change(self._models.shelf.reload)
        return admin_pb2.ReloadModelsResponse(models=convert.model_statuses(statuses))

    async def SetDefaultModel(  # noqa: N802 - named by the contract
        self, request: admin_pb2.SetDefaultModelRequest, context: _Context
    ) -> admin_pb2.SetDefaultModelResponse:
        """Choose the model of requests that name none."""
        del context
        change = partial(self._models.shelf.set_default, _named(request.model))
        return admin_pb2.SetDefaultModelResponse(models=convert.model_statuses(await self._models.change(change)))

    async def ListModelStates(  # noqa: N802 - named by the contract
        self, request: admin_pb2.ListModelStatesRequest, context: _Context
    ) -> admin_pb2.ListModelStatesResponse:
        """Say what becomes of each model."""
        del request, context
        return admin_pb2.ListModelStatesResponse(models=convert.model_statuses(await self._models.states()))


def _named(model: str) -> str:
    """Raises RequestInvalid."""
    if not model:
        raise RequestInvalid("the request names no model", "model")
    return model
