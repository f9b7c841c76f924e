"""Written by scripts/calibrate_estimate.py: real builds, and the fit of `estimate.features` to them."""

# fmt: off
# ruff: noqa: E501

from typing import Any

#: family -> how many builds, and for each resource the weights and the largest error of a build left out
FITS: dict[str, dict[str, Any]] = {'ice40': {'builds': 6, 'lut': {'weights': [3719.2924, 1.3432, 0.0, 212.9803, 13.4059], 'error': 0.08}, 'ff': {'weights': [1821.0908, 4.6497, 0.0, 234.6436, 5.6266], 'error': 0.094}, 'bram': {'weights': [1.0, 10.8282, 0.0, 1.369], 'error': 0.118}}, 'ecp5': {'builds': 7, 'lut': {'weights': [2821.7506, 3.9748, 620.9191, 2.4138], 'error': 0.119}, 'ff': {'weights': [1652.182, 4.0851, 448.6187, 0.7066], 'error': 0.076}, 'bram': {'weights': [1.0, 4.4145, 0.5855, 0.5806], 'error': 0.631}}}

#: family -> each build: its shape (see `SHAPES` there) and what it took
BUILDS: dict[str, list[dict[str, Any]]] = {'ice40': [{'shape': [16, 24, 10, 4, 10, 1, 2, 'trivium'], 'lut': 4401, 'ff': 2407, 'bram': 13, 'spram': 0, 'dsp': 0}, {'shape': [16, 24, 10, 4, 10, 1, 8, 'trivium'], 'lut': 5115, 'ff': 2917, 'bram': 14, 'spram': 0, 'dsp': 0}, {'shape': [16, 24, 10, 4, 10, 1, 8, 'lfsr'], 'lut': 4787, 'ff': 2799, 'bram': 15, 'spram': 0, 'dsp': 0}, {'shape': [64, 32, 10, 4, 12, 1, 4, 'trivium'], 'lut': 4250, 'ff': 2374, 'bram': 16, 'spram': 0, 'dsp': 0}, {'shape': [64, 48, 10, 4, 12, 2, 4, 'trivium'], 'lut': 5211, 'ff': 2880, 'bram': 19, 'spram': 0, 'dsp': 0}, {'shape': [32, 16, 8, 6, 16, 0, 4, 'trivium'], 'lut': 3751, 'ff': 2017, 'bram': 14, 'spram': 0, 'dsp': 0}], 'ecp5': [{'shape': [16, 24, 10, 4, 10, 1, 4, 'trivium'], 'lut': 4143, 'ff': 2715, 'bram': 7, 'spram': 0, 'dsp': 0}, {'shape': [64, 128, 40, 8, 16, 1, 8, 'trivium'], 'lut': 5326, 'ff': 4025, 'bram': 14, 'spram': 0, 'dsp': 0}, {'shape': [64, 128, 40, 8, 16, 1, 16, 'trivium'], 'lut': 7134, 'ff': 5990, 'bram': 14, 'spram': 0, 'dsp': 0}, {'shape': [64, 128, 40, 8, 16, 1, 16, 'lfsr'], 'lut': 7000, 'ff': 5792, 'bram': 14, 'spram': 0, 'dsp': 0}, {'shape': [256, 128, 10, 4, 12, 2, 16, 'trivium'], 'lut': 6621, 'ff': 5018, 'bram': 17, 'spram': 0, 'dsp': 0}, {'shape': [784, 256, 40, 4, 12, 1, 16, 'trivium'], 'lut': 6804, 'ff': 5332, 'bram': 63, 'spram': 0, 'dsp': 0}, {'shape': [64, 128, 40, 8, 16, 0, 32, 'trivium'], 'lut': 10393, 'ff': 9400, 'bram': 22, 'spram': 0, 'dsp': 0}]}
