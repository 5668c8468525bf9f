"""REST and a web page for people, in front of the gRPC service; a client of it and nothing more."""
