"""The command `glyphwire` with a fake pipeline, for a process of its own: python -m tests.e2e.fake_glyphwire serve."""

import sys

import server.app
import server.remote_stages
from server.cli import main
from tests.server.fake_stages import FakeStages

if __name__ == "__main__":
    server.app.build_pipeline = lambda settings: FakeStages()
    server.remote_stages.ENGINE_PROGRAM = (sys.executable, "-m", "tests.e2e.fake_engine")
    sys.exit(main())
