"""A process that a supervisor can start: python stub_process.py FOLDER --process-link=N.

It notes its process id and settings in FOLDER/started, then does what FOLDER/plan says: "serve" until SIGTERM or the
end of the supervisor, "hang" without minding SIGTERM, or end with the status that stands there.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path


def main(folder: Path, descriptor: int) -> int:
    link = socket.socket(fileno=descriptor)
    settings = json.loads(link.makefile("rb").readline())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    plan = (folder / "plan").read_text(encoding="utf-8")
    if plan == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with (folder / "started").open("a", encoding="utf-8") as started:
        metrics = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        started.write(json.dumps({"pid": os.getpid(), "settings": settings, "metrics": metrics}) + "\n")
    if plan not in {"serve", "hang"}:
        return int(plan)
    link.sendall(b"s")
    return len(link.recv(1))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2].partition("=")[2])))
