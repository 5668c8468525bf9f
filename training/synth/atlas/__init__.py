"""Lines of text composed and degraded in batches, by tensor operations alone, on a processor or a GPU."""
