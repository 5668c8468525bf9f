"""The process that reads for fake_glyphwire.py: python -m tests.e2e.fake_engine --engine-link=N."""

import sys

from server.engine_link import ENGINE_FLAG, ServerEnd
from server.engine_process import EngineHost, serve
from tests.server.fake_stages import FakeStages

if __name__ == "__main__":
    serve(EngineHost(lambda config: FakeStages()), ServerEnd(int(sys.argv[1].removeprefix(f"{ENGINE_FLAG}="))))
