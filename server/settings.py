"""One frozen Settings. Priority: flag, then GLYPHWIRE_* environment, then TOML file, then default."""

from __future__ import annotations

import os
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import ByteSize, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from server.errors import SettingsInvalid

PREFIX = "GLYPHWIRE_"
CONFIG = "config"

_MIB = 2**20
_CHECKOUT = Path(__file__).resolve().parent.parent


def _cpus() -> int:
    """CPUs this process may use; only Linux tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """How the server runs. Sizes accept units: 32MiB."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    listen: str = Field("127.0.0.1:50051", description="address to serve at; port 0 takes a free one")
    models_dir: Path = Field(_CHECKOUT / "models", description="folder of the model bundles")
    language_dir: Path = Field(
        _CHECKOUT / "language", description="folder of language models, lexicons and hot words; need not be there"
    )
    default_model: str = Field("ppocrv2-zh-en", description="model of requests that name none")
    decoder_backend: Literal["compiled", "reference"] = Field("compiled", description="implementation of the decoders")
    max_image_bytes: ByteSize = Field(ByteSize(32 * _MIB), ge=1, description="largest image file or raw image")
    max_image_pixels: int = Field(50_000_000, ge=1, le=178_000_000, description="largest width * height")
    max_image_side: int = Field(16_384, ge=1, description="largest side in pixels")
    min_image_side: int = Field(4, ge=1, description="smallest side in pixels")
    max_batch_items: int = Field(256, ge=1, description="images per BatchRecognize call")
    max_message_bytes: ByteSize = Field(ByteSize(64 * _MIB), ge=1, description="largest gRPC message")
    max_queue: int = Field(512, ge=1, description="images held at once; more get UNAVAILABLE")
    max_queue_bytes: ByteSize = Field(ByteSize(1024 * _MIB), ge=1, description="image bytes held at once")
    max_batch_size: int = Field(1, ge=1, le=256, description="lines per engine batch; more gain little on a CPU")
    precision: Literal["f32", "auto"] = Field("f32", description="auto: bfloat16 where the processor has it, faster")
    max_wait_ms: float = Field(0.0, ge=0, le=1000, description="how long a batch waits to be filled; 0 never waits")
    workers: int = Field(default_factory=_cpus, ge=1, le=1024, description="worker threads; default: one per CPU")
    stream_window: int = Field(8, ge=1, le=1024, description="frames of a stream that are read ahead")
    max_deadline_s: float = Field(60.0, gt=0, description="work that takes longer is dropped, whatever the caller says")
    drain_timeout_s: float = Field(20.0, ge=0, description="how long accepted work may take after a stop signal")
    log_format: Literal["json", "console"] | None = Field(None, description="default: console in a terminal, else json")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level logged")

    @model_validator(mode="after")
    def _limits_fit_together(self) -> Self:
        for small, large in (
            ("max_image_bytes", "max_message_bytes"),
            ("max_message_bytes", "max_queue_bytes"),
            ("max_batch_items", "max_queue"),
            ("min_image_side", "max_image_side"),
        ):
            if getattr(self, small) > getattr(self, large):
                raise ValueError(
                    f"{small} is {getattr(self, small)}, must not be above {large}, {getattr(self, large)}"
                )
        return self


def add_flags(parser: ArgumentParser, names: Collection[str] = tuple(Settings.model_fields)) -> None:
    """Give a parser --config and one flag per setting in `names`; what is not given stays out of the namespace."""
    group = parser.add_argument_group(
        "settings", f"Also {PREFIX}NAME in the environment, or NAME in the file of --config."
    )
    group.add_argument("--config", metavar="FILE", default=SUPPRESS, help="TOML file of settings")
    for name in names:
        field = Settings.model_fields[name]
        default = "" if field.default_factory or field.default is None else f" [{field.default}]"
        group.add_argument(
            "--" + name.replace("_", "-"),
            metavar=_metavar(field.annotation),
            default=SUPPRESS,
            help=f"{field.description}{default}".replace("%", "%%"),
        )


def load_settings(flags: Namespace) -> Settings:
    """Put the sources together. flags: as parsed by a parser that `add_flags` prepared. Raises SettingsInvalid."""
    given = vars(flags)
    path = given.get(CONFIG) or os.environ.get(PREFIX + CONFIG.upper())
    if path and not Path(path).is_file():
        raise SettingsInvalid(f"the settings file {path} is not there")
    try:
        found = _sourced(path)(**{name: given[name] for name in Settings.model_fields if name in given})
    except ValidationError as error:
        raise SettingsInvalid(
            "; ".join(_sentence(problem["loc"], problem["msg"]) for problem in error.errors())
        ) from None
    except ValueError as error:
        raise SettingsInvalid(f"{path}: {error}") from None
    return Settings(**found.model_dump())


def _sourced(path: str | None) -> type[Settings]:
    """Settings that also read a file: pydantic-settings takes sources from the class, not from the call."""

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    return Sourced


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, place))}: {message}" if place else message


def _metavar(annotation: object) -> str:
    choices = [choice for choice in get_args(annotation) if choice is not type(None)]
    flat = [str(value) for choice in choices for value in (get_args(choice) or (choice,))]
    return "{" + ",".join(flat) + "}" if flat else str(getattr(annotation, "__name__", "value")).upper()
