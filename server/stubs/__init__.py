"""Generated stubs of the Open Inference Protocol; `make protos` writes them."""
