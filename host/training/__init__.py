"""Training of spiking networks in PyTorch: surrogate gradients, DP-SGD, quantisation, flippers in the loop.

Needs the extra `train` (torch, Opacus). `TrainingRun(load_config("digits-dpsgd"), load_dataset("digits"), folder)`
makes a run. A name is imported when it is first used; nothing outside this package and the command line imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.training.architecture import Architecture as Architecture
    from spikeveil.host.training.architecture import Conv as Conv
    from spikeveil.host.training.architecture import Dense as Dense
    from spikeveil.host.training.architecture import Flatten as Flatten
    from spikeveil.host.training.architecture import Pool as Pool
    from spikeveil.host.training.architecture import Readout as Readout
    from spikeveil.host.training.config import Config as Config
    from spikeveil.host.training.config import load_config as load_config
    from spikeveil.host.training.export import quantised as quantised
    from spikeveil.host.training.export import specification as specification
    from spikeveil.host.training.flip_layer import FlipLayer as FlipLayer
    from spikeveil.host.training.loop import TrainingResult as TrainingResult
    from spikeveil.host.training.loop import TrainingRun as TrainingRun
    from spikeveil.host.training.lowering import float_network as float_network
    from spikeveil.host.training.network import SpikingNetwork as SpikingNetwork
    from spikeveil.host.training.neurons import Neuron as Neuron
    from spikeveil.host.training.plan import TrainingPlan as TrainingPlan
    from spikeveil.host.training.quantise_ann import quantised_ann as quantised_ann
    from spikeveil.host.training.recipe import Recipe as Recipe
    from spikeveil.host.training.recipe import fit as fit
    from spikeveil.host.training.run_folder import RunFolder as RunFolder
    from spikeveil.host.training.weights import load_network as load_network
    from spikeveil.host.training.weights import save_network as save_network

#: public name -> the module of this package that defines it
_HOMES = {
    "Architecture": "architecture",
    "Config": "config",
    "Conv": "architecture",
    "Dense": "architecture",
    "Flatten": "architecture",
    "FlipLayer": "flip_layer",
    "Neuron": "neurons",
    "Pool": "architecture",
    "Readout": "architecture",
    "Recipe": "recipe",
    "RunFolder": "run_folder",
    "SpikingNetwork": "network",
    "TrainingPlan": "plan",
    "TrainingResult": "loop",
    "TrainingRun": "loop",
    "fit": "recipe",
    "float_network": "lowering",
    "load_config": "config",
    "load_network": "weights",
    "quantised": "export",
    "quantised_ann": "quantise_ann",
    "save_network": "weights",
    "specification": "export",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
