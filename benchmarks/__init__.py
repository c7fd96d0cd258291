"""How fast Ammon is and how much memory it takes, measured from outside: `python -m benchmarks --help`."""
