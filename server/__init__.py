"""gRPC serving of the pipeline, and the command line."""

# Before anything here imports gRPC, to which settings have something to say.
import server.settings  # noqa: F401
