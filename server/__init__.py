"""gRPC serving of the pipeline, and the command line."""
