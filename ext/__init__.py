"""Compiled kernels. Label indices and floats only."""
