"""A small stand-in for NeuroMorpho.Org, Hippocampome.org and ModelDB on this machine.

`make demo` and the tests refresh from it, so that the whole job can be seen without a network. All content
is made up (`data/example/`); only the formats are those of the three sites. `python -m
helpers.example_upstream` starts it; tests use `ExampleUpstream` as a context manager.
"""

from helpers.example_upstream.server import Asked, ExampleUpstream

__all__ = ["Asked", "ExampleUpstream"]
