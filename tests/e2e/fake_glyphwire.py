"""The command `glyphwire` with a fake pipeline, for a process of its own: python -m tests.e2e.fake_glyphwire serve."""

import sys

import server.app
from server.cli import main
from tests.server.fake_stages import FakeStages

if __name__ == "__main__":
    server.app.build_pipeline = lambda settings: FakeStages()
    sys.exit(main())
