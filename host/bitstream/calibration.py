"""Written by scripts/calibrate_estimate.py: real builds, and the fit of `estimate.features` to them."""

# fmt: off
# ruff: noqa: E501

from typing import Any

#: family -> how many builds, and for each resource the weights and the largest error of a build left out
FITS: dict[str, dict[str, Any]] = {'ice40': {'builds': 6, 'lut': {'weights': [3719.2924, 1.3432, 0.0, 212.9803, 13.4059], 'error': 0.08}, 'ff': {'weights': [1821.0908, 4.6497, 0.0, 234.6436, 5.6266], 'error': 0.094}, 'bram': {'weights': [1.0, 10.8282, 0.0, 1.369], 'error': 0.118}}, 'ecp5': {'builds': 7, 'lut': {'weights': [3668.5116, 3.7736, 0.0, 461.8529, 0.0], 'error': 0.156}, 'ff': {'weights': [1773.3343, 2.2732, 6.9586, 353.821, 1.7328], 'error': 0.123}, 'bram': {'weights': [1.0, 4.0053, 0.9947, 1.0239], 'error': 0.572}}}

#: family -> each build: its shape (see `SHAPES` there) and what it took
BUILDS: dict[str, list[dict[str, Any]]] = {'ice40': [{'shape': [16, 24, 10, 4, 10, 1, 2, 'trivium'], 'lut': 4401, 'ff': 2407, 'bram': 13, 'spram': 0, 'dsp': 0}, {'shape': [16, 24, 10, 4, 10, 1, 8, 'trivium'], 'lut': 5115, 'ff': 2917, 'bram': 14, 'spram': 0, 'dsp': 0}, {'shape': [16, 24, 10, 4, 10, 1, 8, 'lfsr'], 'lut': 4787, 'ff': 2799, 'bram': 15, 'spram': 0, 'dsp': 0}, {'shape': [64, 32, 10, 4, 12, 1, 4, 'trivium'], 'lut': 4250, 'ff': 2374, 'bram': 16, 'spram': 0, 'dsp': 0}, {'shape': [64, 48, 10, 4, 12, 2, 4, 'trivium'], 'lut': 5211, 'ff': 2880, 'bram': 19, 'spram': 0, 'dsp': 0}, {'shape': [32, 16, 8, 6, 16, 0, 4, 'trivium'], 'lut': 3751, 'ff': 2017, 'bram': 14, 'spram': 0, 'dsp': 0}], 'ecp5': [{'shape': [16, 24, 10, 4, 10, 1, 4, 'trivium'], 'lut': 4207, 'ff': 2554, 'bram': 7, 'spram': 0, 'dsp': 0}, {'shape': [64, 128, 40, 8, 16, 1, 8, 'trivium'], 'lut': 5104, 'ff': 2868, 'bram': 14, 'spram': 0, 'dsp': 0}, {'shape': [64, 128, 40, 8, 16, 1, 16, 'trivium'], 'lut': 5744, 'ff': 3424, 'bram': 15, 'spram': 0, 'dsp': 0}, {'shape': [64, 128, 40, 8, 16, 1, 16, 'lfsr'], 'lut': 5528, 'ff': 3176, 'bram': 15, 'spram': 0, 'dsp': 0}, {'shape': [256, 128, 10, 4, 12, 2, 16, 'trivium'], 'lut': 5251, 'ff': 3295, 'bram': 17, 'spram': 0, 'dsp': 0}, {'shape': [784, 256, 40, 4, 12, 1, 16, 'trivium'], 'lut': 4968, 'ff': 2808, 'bram': 64, 'spram': 0, 'dsp': 0}, {'shape': [64, 128, 40, 8, 16, 0, 32, 'trivium'], 'lut': 6286, 'ff': 4170, 'bram': 19, 'spram': 0, 'dsp': 0}]}
