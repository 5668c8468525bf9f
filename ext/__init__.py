"""Compiled kernels. They know numbers: label indices, scores, grey levels."""
