"""Certificate authorities and certificates for tests."""

from __future__ import annotations

from pathlib import Path

import trustme


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.ca = folder / f"{name}.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, host: str, name: str = "server") -> dict[str, Path]:
        """Writes NAME.pem and NAME.key for a host, over those that are there."""
        issued = self._authority.issue_cert(host)
        paths = {"cert": self._folder / f"{name}.pem", "key": self._folder / f"{name}.key"}
        issued.private_key_pem.write_to_path(str(paths["key"]))
        paths["cert"].write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return paths
