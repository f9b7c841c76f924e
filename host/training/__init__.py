"""Training of spiking networks in PyTorch: surrogate gradients, DP-SGD, quantisation, flippers in the loop.

Needs the extra `train` (torch, Opacus). `TrainingRun(load_config("digits-dpsgd"), load_dataset("digits"), folder)`
makes a run. A name is imported when it is first used; nothing outside this package and the command line imports it.
"""

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "architecture": ["Architecture", "Conv", "Dense", "Flatten", "Pool", "Readout"],
        "config": ["Config", "load_config"],
        "export": ["quantised", "specification"],
        "flip_layer": ["FlipLayer"],
        "loop": ["TrainingResult", "TrainingRun"],
        "lowering": ["float_network"],
        "network": ["SpikingNetwork"],
        "neurons": ["Neuron"],
        "plan": ["TrainingPlan"],
        "quantise_ann": ["quantised_ann"],
        "recipe": ["Recipe", "fit"],
        "run_folder": ["RunFolder"],
        "weights": ["load_network", "save_network"],
    },
)
