"""A process that reads, fake but for its shelf: python -m tests.server.engine_program MODELS_DIR --engine-link=N."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ocr_core.errors import BundleInvalid
from ocr_core.pipeline_config import PipelineConfig
from server.engine_link import ENGINE_FLAG, ServerEnd
from server.engine_process import EngineHost, serve
from tests.server.shelf_stages import ShelfStages


class DyingStages(ShelfStages):
    """Dies of the image "!die"; does not start where there is a file "broken"."""

    def start(self) -> None:
        """As ShelfStages."""
        if (self.models_dir / "broken").exists():
            raise BundleInvalid("nothing works")
        super().start()

    def prepare(self, image, options):
        """As ShelfStages."""
        if image == b"!die":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().prepare(image, options)


def make(config: PipelineConfig) -> DyingStages:
    """With the agreement that the server names."""
    return DyingStages(models_dir=Path(sys.argv[1]), agreement=config.agreement)


if __name__ == "__main__":
    serve(EngineHost(make), ServerEnd(int(sys.argv[2].removeprefix(f"{ENGINE_FLAG}="))))
