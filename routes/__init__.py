"""One blueprint per endpoint family: parse, call, shape. Nothing else."""
