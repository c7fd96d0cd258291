"""Configuration: what Ammon can be told, where it was told, and its version. Imports nothing else of ours."""
