"""Program of the process that reads for a server: python -m server.engine_program --engine-link=N.

Nothing is imported but what reading needs: gRPC and what else a server has are 40 MB.
"""

from __future__ import annotations

import sys

from ocr_core.pipeline import Pipeline
from server.allocator import keep_large_blocks, share_arenas, trim_often
from server.engine_link import ENGINE_FLAG, ServerEnd
from server.engine_process import EngineHost, serve


def main() -> None:
    """Read until the server has gone."""
    keep_large_blocks()
    share_arenas()
    trim_often()
    serve(EngineHost(Pipeline), ServerEnd(int(sys.argv[1].removeprefix(f"{ENGINE_FLAG}="))))


if __name__ == "__main__":
    main()
