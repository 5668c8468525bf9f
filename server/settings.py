"""One frozen Settings. Priority: flag, then GLYPHWIRE_* environment, then TOML file, then default."""

from __future__ import annotations

import os
import re
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self, get_args, get_origin

from pydantic import ByteSize, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ocr_core.document import DocumentLimits
from ocr_core.image_limits import ImageLimits
from ocr_core.pipeline_config import PipelineConfig
from server.addresses import Address, TcpAddress, UnixAddress, parse_address
from server.environment import variable, variables
from server.errors import SettingsInvalid

PREFIX = "GLYPHWIRE_"
CONFIG = "config"

_PLAINLY = {"extra_forbidden": "there is no such setting"}
"""What pydantic says by type of problem in words of its own."""

_ALIKE = 0.8
"""How much two names have in common when one is a slip for the other, from 0 to 1."""

_MIB = 2**20
_ORIGIN = re.compile(r"https?://[^/\s]+")
_CHECKOUT = Path(__file__).resolve().parent.parent


def _cpus() -> int:
    """CPUs this process may use; only Linux tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """How the server runs. Sizes accept units: 32MiB."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    listen: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1:50051",),
        min_length=1,
        description="addresses to serve at, HOST:PORT or unix:PATH, by commas or by repeating; port 0 takes a free one",
    )
    socket_mode: str = Field("600", pattern="^[0-7]{3}$", description="permissions of the file of a Unix socket")
    tls_cert: Path | None = Field(None, description="certificate chain of the server (PEM); makes TCP addresses TLS")
    tls_key: Path | None = Field(None, description="its private key (PEM)")
    tls_client_ca: Path | None = Field(None, description="callers need a certificate of these authorities (PEM)")
    token_file: Path | None = Field(None, description="callers need a token of this file (TOML)")
    allow_plaintext_tokens: bool = Field(False, description="tokens may cross a network without TLS")
    processes: int = Field(1, ge=1, le=256, description="processes that share the addresses and the workers")
    models_dir: Path = Field(_CHECKOUT / "models", description="folder of the model bundles")
    language_dir: Path = Field(
        _CHECKOUT / "language", description="folder of language models, lexicons and hot words; need not be there"
    )
    default_model: str = Field("glyphwire-zh-en", description="model of requests that name none")
    model_agreement: Path | None = Field(
        None, description="file that keeps what was changed at run time, for the next start and for other processes"
    )
    decoder_backend: Literal["compiled", "reference"] = Field("compiled", description="implementation of the decoders")
    max_image_bytes: ByteSize = Field(ByteSize(32 * _MIB), ge=1, description="largest image file or raw image")
    max_image_pixels: int = Field(50_000_000, ge=1, le=178_000_000, description="largest width * height")
    max_image_side: int = Field(16_384, ge=1, description="largest side in pixels")
    min_image_side: int = Field(4, ge=1, description="smallest side in pixels")
    max_batch_items: int = Field(256, ge=1, description="images per BatchRecognize call")
    max_message_bytes: ByteSize = Field(ByteSize(64 * _MIB), ge=1, description="largest gRPC message")
    max_queue: int = Field(512, ge=1, description="images held at once; more get UNAVAILABLE")
    max_queue_bytes: ByteSize = Field(ByteSize(1024 * _MIB), ge=1, description="image bytes held at once")
    max_batch_size: int = Field(4, ge=1, le=256, description="lines that a worker takes at once")
    precision: Literal["f32", "auto"] = Field(
        "auto",
        description="auto: bfloat16 where processor and model are made for it; f32: the same text on any machine",
    )
    workers: int = Field(default_factory=_cpus, ge=1, le=1024, description="worker threads; default: one per CPU")
    engine_process: bool = Field(
        True, description="read in a process of its own, which bears overload and crashes better, for 30 MB"
    )
    engine_nice: int = Field(2, ge=0, le=19, description="how far that process stands back behind others, as of nice")
    stream_window: int = Field(16, ge=1, le=1024, description="frames of a stream that are read ahead")
    max_streams: int = Field(256, ge=1, description="streams open at once; more get UNAVAILABLE")
    max_client_streams: int = Field(64, ge=1, description="of them, those of one client")
    max_documents: int = Field(4, ge=1, le=64, description="documents open at once, each with a process; others wait")
    max_document_bytes: ByteSize = Field(ByteSize(256 * _MIB), ge=1, description="largest document")
    max_document_pages: int = Field(1000, ge=1, description="pages of a document that are asked for at once")
    max_spool_bytes: ByteSize = Field(ByteSize(2048 * _MIB), ge=1, description="documents on the disk at once")
    max_page_cpu_s: float = Field(20.0, gt=0, description="processor time of rendering one page of a PDF")
    max_render_bytes: ByteSize = Field(ByteSize(768 * _MIB), ge=1, description="memory of a process that renders")
    max_deadline_s: float = Field(60.0, gt=0, description="work that takes longer is dropped, whatever the caller says")
    drain_timeout_s: float = Field(20.0, ge=0, description="how long accepted work may take after a stop signal")
    metrics_listen: str | None = Field(None, description="HOST:PORT where Prometheus reads metrics over HTTP")
    otlp_endpoint: str | None = Field(None, description="OpenTelemetry collector that gets traces: http://HOST:4317")
    trace_sample_ratio: float = Field(
        0.01, ge=0, le=1, description="share of calls traced; a caller's own traceparent decides for its calls"
    )
    reflection: bool = Field(True, description="let generic tools ask for the contract")
    open_inference: bool = Field(True, description="also speak the Open Inference Protocol, as Triton's clients do")
    channelz: bool = Field(False, description="let tools look at connections, their calls and their bytes")
    http_listen: str = Field("127.0.0.1:8080", description="HOST:PORT of the gateway; port 0 takes a free one")
    http_token_file: Path | None = Field(None, description="callers of the gateway need a token of this file (TOML)")
    http_calls_per_minute: int | None = Field(None, ge=1, description="requests that one address may begin [no limit]")
    http_cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="pages from there may call the gateway: https://HOST, by commas or by repeating"
    )
    http_max_body_bytes: ByteSize = Field(ByteSize(64 * _MIB), ge=1, description="largest request to the gateway")
    http_timeout_s: float = Field(60.0, gt=0, description="how long the gateway waits for an image")
    http_document_timeout_s: float = Field(3600.0, gt=0, description="how long the gateway waits for a document")
    http_max_jobs: int = Field(32, ge=1, description="jobs that the gateway keeps, running and ended ones")
    http_job_kept_s: float = Field(3600.0, ge=0, description="how long an ended job can be asked for")
    log_format: Literal["json", "console"] | None = Field(None, description="default: console in a terminal, else json")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level logged")

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What `listen` names."""
        return tuple(map(parse_address, self.listen))

    @property
    def image_limits(self) -> ImageLimits:
        """What images may be."""
        return ImageLimits(
            max_bytes=self.max_image_bytes,
            max_pixels=self.max_image_pixels,
            max_side=self.max_image_side,
            min_side=self.min_image_side,
        )

    @property
    def pipeline_config(self) -> PipelineConfig:
        """What the pipeline is built from."""
        return PipelineConfig(
            models_dir=self.models_dir,
            language_dir=self.language_dir,
            default_model=self.default_model,
            agreement=self.model_agreement,
            decoder_backend=self.decoder_backend,
            workers=self.workers,
            precision=self.precision,
            limits=self.image_limits,
        )

    @property
    def document_limits(self) -> DocumentLimits:
        """What documents may be."""
        return DocumentLimits(
            image=self.image_limits,
            max_bytes=self.max_document_bytes,
            max_pages=self.max_document_pages,
            max_page_cpu_s=self.max_page_cpu_s,
            max_memory_bytes=self.max_render_bytes,
        )

    @field_validator("listen", "http_cors_origins", mode="before")
    @classmethod
    def _split(cls, value: str | Sequence[str]) -> tuple[str, ...]:
        texts = (value,) if isinstance(value, str) else value
        return tuple(text.strip() for joined in texts for text in joined.split(","))

    @field_validator("listen")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(parse_address(text)) for text in value)

    @field_validator("metrics_listen", "http_listen")
    @classmethod
    def _is_tcp_address(cls, value: str | None) -> str | None:
        if value is not None and not isinstance(parse_address(value), TcpAddress):
            raise ValueError(f"{value!r} is no HOST:PORT")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        # Without http:// the exporter takes it for https://, and no trace ever comes.
        if value is not None and not _ORIGIN.match(value):
            raise ValueError(f"{value!r} must be like http://HOST:PORT")
        return value

    @field_validator("http_cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if text != "*" and not _ORIGIN.fullmatch(text):
                raise ValueError(f"{text!r} is no origin: it must be like https://HOST or http://HOST:PORT")
        return value

    @model_validator(mode="after")
    def _transport_is_sound(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key need each other")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        is_open = not self.tls_cert and not all(address.is_local for address in self.addresses)
        if self.token_file and is_open and not self.allow_plaintext_tokens:
            raise ValueError(
                f"tokens would cross the network in plain text at {', '.join(self.listen)}: set tls_cert and tls_key, "
                "or allow_plaintext_tokens where something else encrypts"
            )
        if self.processes > 1 and any(isinstance(address, UnixAddress) for address in self.addresses):
            raise ValueError("a Unix socket belongs to one process: listen at TCP addresses, or set processes to 1")
        return self

    @model_validator(mode="after")
    def _limits_fit_together(self) -> Self:
        for small, large in (
            ("max_image_bytes", "max_message_bytes"),
            ("max_message_bytes", "max_queue_bytes"),
            ("max_batch_items", "max_queue"),
            ("max_document_bytes", "max_spool_bytes"),
            ("min_image_side", "max_image_side"),
        ):
            if getattr(self, small) > getattr(self, large):
                raise ValueError(
                    f"{small} is {getattr(self, small)}, must not be above {large}, {getattr(self, large)}"
                )
        return self


GATEWAY_SETTINGS = tuple(name for name in Settings.model_fields if name.startswith("http_"))
"""Those of the gateway alone."""

SERVER_SETTINGS = tuple(name for name in Settings.model_fields if name not in GATEWAY_SETTINGS)


def add_flags(parser: ArgumentParser, names: Collection[str] = SERVER_SETTINGS) -> None:
    """Give a parser --config and one flag per setting in `names`; what is not given stays out of the namespace."""
    group = parser.add_argument_group(
        "settings", f"Also {PREFIX}NAME in the environment, or NAME in the file of --config."
    )
    group.add_argument("--config", metavar="FILE", default=SUPPRESS, help="TOML file of settings")
    for name in names:
        field = Settings.model_fields[name]
        default = "" if field.default_factory or field.default is None else f" [{_spelled(field.default)}]"
        group.add_argument(
            "--" + name.replace("_", "-"),
            metavar=_metavar(field.annotation),
            default=SUPPRESS,
            action="append" if _is_list(field.annotation) else "store",
            help=f"{field.description}{default}".replace("%", "%%"),
        )


def load_settings(flags: Namespace) -> Settings:
    """Put the sources together. flags: as parsed by a parser that `add_flags` prepared. Raises SettingsInvalid."""
    given = vars(flags)
    path = given.get(CONFIG) or variable(PREFIX + CONFIG.upper())
    if path and not Path(path).is_file():
        raise SettingsInvalid(f"the settings file {path} is {'no file' if Path(path).exists() else 'not there'}")
    try:
        found = _sourced(path)(**{name: given[name] for name in Settings.model_fields if name in given})
    except ValidationError as error:
        raise SettingsInvalid("; ".join(map(_sentence, error.errors()))) from None
    except ValueError as error:
        raise SettingsInvalid(f"{path}: {error}") from None
    return Settings(**found.model_dump())


def misspelt_variables() -> dict[str, str]:
    """Variables that are no setting, but so much like one that it is likely meant, and that one.

    Others with our prefix are nobody's mistake: Kubernetes sets GLYPHWIRE_PORT, GLYPHWIRE_SERVICE_HOST and more for a
    Service of our name.
    """
    known = [name.upper() for name in (CONFIG, *Settings.model_fields)]
    # Without the prefix, by which all of them are alike.
    given = [name.removeprefix(PREFIX) for name in variables(PREFIX)]
    nearest = {name: get_close_matches(name, known, n=1, cutoff=_ALIKE) for name in given if name not in known}
    return {PREFIX + name: PREFIX + meant[0] for name, meant in nearest.items() if meant}


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


def _sentence(problem: ErrorDetails) -> str:
    place, message = problem["loc"], _PLAINLY.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    return f"{'.'.join(map(str, place))}: {message}" if place else message


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is tuple


def _spelled(default: object) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _metavar(annotation: object) -> str:
    if _is_list(annotation):
        return "ADDRESS"
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)] or [annotation]
    values = [value for kind in kinds for value in (get_args(kind) or (kind,))]
    if isinstance(values[0], type):
        return values[0].__name__.upper()
    return "{" + ",".join(map(str, values)) + "}"
