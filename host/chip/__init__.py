"""A private chip in a few lines of Python: a network, what it releases, and a board. Imported when first used."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.host.chip.chip import Chip as Chip

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"chip": ["Chip"]})
