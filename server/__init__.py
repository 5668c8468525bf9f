"""gRPC serving of the pipeline, and the command line."""

# Before anything here imports gRPC, to which it has something to say.
import server.environment  # noqa: F401
