"""AdminClient: models of a running server are loaded, replaced and unloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from glyphwire import _channel, _faults, _responses
from glyphwire.v1 import admin_pb2, admin_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    import grpc
    from typing_extensions import Self  # noqa: UP035 - typing has it from Python 3.11 on

    from glyphwire.types import ModelStatus, Tls

_Request = TypeVar("_Request")


class _WithModels(Protocol):
    """What every response of the service is."""

    @property
    def models(self) -> Iterable[admin_pb2.ModelStatus]: ...


_Response = TypeVar("_Response", bound=_WithModels)


class AdminClient:
    """Changes the models of a Glyphwire server that has admin tokens. Close it, or use it as a context manager.

    Arguments are those of OcrClient. timeout_s: of each call; loading takes seconds, and is carried out even when the
    caller does not wait for it. Calls are tried once.

    Every method returns the state of all models after it, sorted by name and version, and raises OcrError when its call
    fails: nothing has changed then.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = _channel.ADMIN_TIMEOUT_S,
        tls: Tls | None = None,
        token: str | None = None,
        allow_plaintext_token: bool = False,
    ) -> None:
        self._metadata = _channel.call_metadata(
            target, token, is_encrypted=tls is not None, allow_plaintext=allow_plaintext_token
        )
        self._channel = _channel.open_channel(target, 1, tls)
        self._stub = admin_pb2_grpc.AdminServiceStub(self._channel)
        self._timeout_s = timeout_s

    def load_model(self, model: str) -> tuple[ModelStatus, ...]:
        """Load "name/version", or the newest version of a name."""
        return self._call(self._stub.LoadModel, admin_pb2.LoadModelRequest(model=model))

    def unload_model(self, model: str) -> tuple[ModelStatus, ...]:
        """Unload what requests find by this name."""
        return self._call(self._stub.UnloadModel, admin_pb2.UnloadModelRequest(model=model))

    def reload_models(self) -> tuple[ModelStatus, ...]:
        """Do what the models folder says. What could not be loaded is FAILED."""
        return self._call(self._stub.ReloadModels, admin_pb2.ReloadModelsRequest())

    def set_default_model(self, model: str) -> tuple[ModelStatus, ...]:
        """Choose the model of requests that name none: a name for its newest version, or "name/version"."""
        return self._call(self._stub.SetDefaultModel, admin_pb2.SetDefaultModelRequest(model=model))

    def list_model_states(self) -> tuple[ModelStatus, ...]:
        """Ask what becomes of each model."""
        return self._call(self._stub.ListModelStates, admin_pb2.ListModelStatesRequest())

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[_Request, _Response], request: _Request
    ) -> tuple[ModelStatus, ...]:
        with _faults.translated():
            return _responses.model_statuses(method(request, timeout=self._timeout_s, metadata=self._metadata).models)
