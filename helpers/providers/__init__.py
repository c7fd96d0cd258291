"""One module per source. A new one is a line here (docs/adding-a-source.md)."""

from __future__ import annotations

from helpers.providers.base import Provider
from helpers.providers.hippocampome import Hippocampome
from helpers.providers.internal import Internal
from helpers.providers.modeldb import ModelDB
from helpers.providers.neuromorpho import NeuroMorpho

PROVIDERS: dict[str, type[Provider]] = {
    provider.about.key: provider for provider in (NeuroMorpho, Hippocampome, ModelDB, Internal)
}
