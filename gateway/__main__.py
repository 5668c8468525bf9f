"""`python -m gateway` is `glyphwire gateway`."""

import sys

from server.cli import main

sys.exit(main(["gateway", *sys.argv[1:]]))
