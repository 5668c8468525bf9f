"""The environment: the only file that reads it, besides pydantic for the settings."""

from __future__ import annotations

import os

# gRPC reads it when it is imported, and receives in the thread that hands calls over. By default threads of its own
# receive and wake that one, which takes half a millisecond of a lone call.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_poller_for_python")


def variable(name: str) -> str | None:
    """Its value; None when it is not set."""
    return os.environ.get(name)


def variables(prefix: str) -> list[str]:
    """The names that begin so, sorted."""
    return sorted(name for name in os.environ if name.startswith(prefix))


def child_environment(**more: str) -> dict[str, str]:
    """The environment of this process and more, for a process that it starts."""
    return {**os.environ, **more}
