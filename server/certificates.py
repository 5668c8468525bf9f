"""TLS of the server: certificates from files, read again when these change."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
import structlog

from server.errors import SettingsInvalid
from server.file_watch import FileWatch
from server.settings import Settings

_log = structlog.get_logger(__name__)


def server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """None for plain text. Raises SettingsInvalid for files that cannot be used."""
    if not settings.tls_cert or not settings.tls_key:
        return None
    certificates = _Certificates(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    try:
        first = certificates.load()
    except OSError as error:
        raise SettingsInvalid(f"the certificate {settings.tls_cert} cannot be used: {error}") from None
    return grpc.dynamic_ssl_server_credentials(
        first,
        certificates.changed,  # type: ignore[arg-type]  # the stubs forget that None is allowed
        require_client_authentication=settings.tls_client_ca is not None,
    )


class _Certificates:
    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._cert = cert
        self._key = key
        self._client_ca = client_ca
        self._watch = FileWatch(path for path in (cert, key, client_ca) if path)

    def load(self) -> grpc.ServerCertificateConfiguration:
        """Raises OSError, of which ssl.SSLError is one."""
        self._check()
        pair = (self._key.read_bytes(), self._cert.read_bytes())
        return grpc.ssl_server_certificate_configuration(
            [pair], self._client_ca.read_bytes() if self._client_ca else None
        )

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC, in a thread of its own, before every handshake. None: as before."""
        if not self._watch.has_changed():
            return None
        try:
            found = self.load()
        except OSError as error:
            _log.error("certificate_unusable", path=str(self._cert), error=str(error))
            return None
        _log.info("certificate_loaded", path=str(self._cert))
        return found

    def _check(self) -> None:
        """Raises OSError. gRPC itself would take files that do not belong together, and fail every handshake."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An encrypted key is refused; without the password OpenSSL would ask the terminal.
        context.load_cert_chain(self._cert, self._key, password="")
        if self._client_ca:
            context.load_verify_locations(self._client_ca)
