"""Random bytes, values and keys in place of what our processes write: briefly in the suite, long by `make fuzz`."""
