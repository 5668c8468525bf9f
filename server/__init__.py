"""gRPC serving of the pipeline, and the command line."""

import os

# Before gRPC is imported, which reads it then: it receives in the thread that hands calls over. By default threads of
# its own receive and wake that one, which takes half a millisecond of a lone call.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_poller_for_python")
