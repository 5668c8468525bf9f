"""Where settings come from, and which are refused."""

from __future__ import annotations

from argparse import ArgumentParser

import pydantic
import pytest

from server.errors import SettingsInvalid
from server.settings import Settings, add_flags, load_settings, misspelt_variables

OTHER_VALUES = {
    "listen": "0.0.0.0:1,[::1]:2",
    "socket_mode": "660",
    "tls_cert": "cert.pem",
    "tls_key": "key.pem",
    "tls_client_ca": "ca.pem",
    "token_file": "tokens.toml",
    "allow_plaintext_tokens": "true",
    "processes": "2",
    "models_dir": "/elsewhere",
    "language_dir": "/elsewhere",
    "default_model": "other/2",
    "model_agreement": "agreed.json",
    "decoder_backend": "reference",
    "max_image_bytes": "1MiB",
    "max_image_pixels": "1000",
    "max_image_side": "1000",
    "min_image_side": "8",
    "max_batch_items": "7",
    "max_message_bytes": "100MiB",
    "max_queue": "300",
    "max_queue_bytes": "2GiB",
    "max_batch_size": "7",
    "precision": "f32",
    "workers": "77",
    "engine_process": "false",
    "engine_nice": "7",
    "stream_window": "7",
    "max_streams": "70",
    "max_client_streams": "7",
    "max_documents": "7",
    "max_document_bytes": "1MiB",
    "max_document_pages": "7",
    "max_spool_bytes": "1GiB",
    "max_page_cpu_s": "7.5",
    "max_render_bytes": "1GiB",
    "max_deadline_s": "7.5",
    "drain_timeout_s": "7",
    "metrics_listen": "127.0.0.1:9464",
    "otlp_endpoint": "http://127.0.0.1:4317",
    "trace_sample_ratio": "0.5",
    "reflection": "false",
    "open_inference": "false",
    "channelz": "true",
    "http_listen": "0.0.0.0:80",
    "http_token_file": "http.toml",
    "http_calls_per_minute": "60",
    "http_cors_origins": "https://a.example",
    "http_max_body_bytes": "1MiB",
    "http_timeout_s": "5",
    "http_document_timeout_s": "6",
    "http_max_jobs": "2",
    "http_job_kept_s": "7",
    "log_format": "json",
    "log_level": "debug",
}


NEEDED = {
    "tls_cert": {"tls_key": "key.pem"},
    "tls_key": {"tls_cert": "cert.pem"},
    "tls_client_ca": {"tls_cert": "cert.pem", "tls_key": "key.pem"},
}
"""Settings that some settings need."""


def parsed(*arguments: str):
    """The namespace of a command line."""
    parser = ArgumentParser()
    add_flags(parser, Settings.model_fields)
    return parser.parse_args(arguments)


@pytest.fixture
def toml(tmp_path):
    """Writes a settings file and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "glyphwire.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_priority_is_flag_environment_file_default(monkeypatch, toml):
    """A flag beats the environment, which beats the file, which beats the default."""
    path = toml("workers = 3\nmax_queue = 300\nstream_window = 5\n")
    monkeypatch.setenv("GLYPHWIRE_WORKERS", "4")
    monkeypatch.setenv("GLYPHWIRE_MAX_QUEUE", "400")
    settings = load_settings(parsed("--config", path, "--workers", "6"))
    assert (settings.workers, settings.max_queue, settings.stream_window, settings.max_batch_items) == (6, 400, 5, 256)


def test_the_environment_can_name_the_file(monkeypatch, toml):
    """GLYPHWIRE_CONFIG names the file when --config does not."""
    monkeypatch.setenv("GLYPHWIRE_CONFIG", toml("stream_window = 5\n"))
    assert load_settings(parsed()).stream_window == 5


@pytest.mark.parametrize(
    ("given", "meant"),
    [("METRIC_LISTEN", "METRICS_LISTEN"), ("LOGLEVEL", "LOG_LEVEL"), ("MAX_DEADLINE", "MAX_DEADLINE_S")],
)
def test_a_misspelt_variable_is_found(monkeypatch, given, meant):
    """With the setting that it is likely to mean."""
    monkeypatch.setenv(f"GLYPHWIRE_{given}", "1")
    monkeypatch.setenv(f"GLYPHWIRE_{meant}", "1")
    assert misspelt_variables() == {f"GLYPHWIRE_{given}": f"GLYPHWIRE_{meant}"}


@pytest.mark.parametrize("service", ["", "HTTP_", "GATEWAY_", "METRICS_", "WORKERS_", "TLS_", "CONFIG_"])
def test_variables_of_kubernetes_are_no_settings(monkeypatch, service):
    """Those of a Service glyphwire, glyphwire-http and so on are neither read nor taken for slips."""
    expected = load_settings(parsed())
    port = f"{service}PORT_50051_TCP"
    for name, value in {
        f"{service}SERVICE_HOST": "10.0.0.1",
        f"{service}SERVICE_PORT": "50051",
        f"{service}SERVICE_PORT_GRPC": "50051",
        f"{service}PORT": "tcp://10.0.0.1:50051",
        port: "tcp://10.0.0.1:50051",
        f"{port}_PROTO": "tcp",
        f"{port}_PORT": "50051",
        f"{port}_ADDR": "10.0.0.1",
    }.items():
        monkeypatch.setenv(f"GLYPHWIRE_{name}", value)
    assert load_settings(parsed()) == expected
    assert misspelt_variables() == {}


def test_every_setting_has_a_flag_and_a_variable(monkeypatch):
    """Each field can be given as a flag and as a GLYPHWIRE_ variable, with the same effect."""
    defaults = load_settings(parsed())
    assert set(OTHER_VALUES) == set(Settings.model_fields)
    for name, text in OTHER_VALUES.items():
        given = {name: text} | NEEDED.get(name, {})
        from_flag = load_settings(parsed(*(f"--{key.replace('_', '-')}={value}" for key, value in given.items())))
        assert getattr(from_flag, name) != getattr(defaults, name)
        with monkeypatch.context() as patch:
            for key, value in given.items():
                patch.setenv(f"GLYPHWIRE_{key.upper()}", value)
            assert load_settings(parsed()) == from_flag


def test_addresses_are_listed_in_many_ways(monkeypatch, toml):
    """Several addresses are given by repeating the flag, by commas, and as a list in the file."""
    addresses = ("127.0.0.1:1", "[::1]:2", "unix:/run/s")
    assert load_settings(parsed("--listen", "127.0.0.1:1", "--listen", "[::1]:2, unix:/run/s")).listen == addresses
    path = toml('listen = ["127.0.0.1:1", "[::1]:2", "unix:/run/s"]\n')
    assert load_settings(parsed("--config", path)).listen == addresses
    monkeypatch.setenv("GLYPHWIRE_LISTEN", ",".join(addresses))
    assert load_settings(parsed()).listen == addresses


@pytest.mark.parametrize(
    "more", [["--listen", "127.0.0.1:1,unix:/s"], ["--allow-plaintext-tokens=yes"], ["--tls-cert=c", "--tls-key=k"]]
)
def test_tokens_may_stay_on_this_machine(more):
    """Tokens go with addresses of this machine, with TLS, and with the operator's word that something else encrypts."""
    arguments = ["--listen", "0.0.0.0:1"] if "--listen" not in more else []
    assert load_settings(parsed("--token-file", "tokens.toml", *arguments, *more)).token_file is not None


def test_sizes_have_units():
    """Sizes in bytes can be written as 8MiB."""
    assert load_settings(parsed("--max-image-bytes", "8MiB")).max_image_bytes == 8 * 2**20


def test_settings_cannot_be_changed():
    """Settings are frozen."""
    with pytest.raises(pydantic.ValidationError):
        Settings().workers = 5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--workers", "0"], "workers"),
        (["--workers", "many"], "workers"),
        (["--max-deadline-s", "nan"], "max_deadline_s"),
        (["--decoder-backend", "magic"], "decoder_backend"),
        (["--max-queue", "10"], "max_batch_items is 256, must not be above max_queue, 10"),
        (["--max-image-bytes", "65MiB"], "max_image_bytes"),
        (["--listen", "127.0.0.1"], "'127.0.0.1' is no address"),
        (["--http-listen", "nonsense"], "http_listen: 'nonsense' is no address"),
        (["--http-listen", "unix:/s"], "http_listen: 'unix:/s' is no HOST:PORT"),
        (["--metrics-listen", "127.0.0.1:99999"], "metrics_listen: '127.0.0.1:99999' is no address"),
        (["--http-cors-origins", "https://a.org/"], "'https://a.org/' is no origin"),
        (["--otlp-endpoint", "localhost:4317"], "otlp_endpoint: 'localhost:4317' must be like http://HOST:PORT"),
        (["--socket-mode", "888"], "socket_mode"),
        (["--tls-cert", "c"], "tls_cert and tls_key need each other"),
        (["--tls-client-ca", "c"], "tls_client_ca needs tls_cert"),
        (["--token-file", "t", "--listen", "127.0.0.1:1,0.0.0.0:1"], "in plain text at 127.0.0.1:1, 0.0.0.0:1"),
        (["--processes", "2", "--listen", "unix:/s"], "a Unix socket belongs to one process"),
        (["--config", "/nowhere/glyphwire.toml"], "/nowhere/glyphwire.toml is not there"),
        (["--config", "/"], "the settings file / is no file"),
    ],
)
def test_bad_settings_are_named(arguments, named):
    """A setting that is out of range, unknown or at odds with another is refused with its name."""
    with pytest.raises(SettingsInvalid, match=named):
        load_settings(parsed(*arguments))


@pytest.mark.parametrize(
    ("text", "named"), [("listn = 1\n", "listn: there is no such setting"), ("workers = \n", "glyphwire.toml")]
)
def test_bad_files_are_refused(toml, text, named):
    """A settings file with an unknown name, or that is no TOML, is refused."""
    with pytest.raises(SettingsInvalid, match=named):
        load_settings(parsed("--config", toml(text)))
