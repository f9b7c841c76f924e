"""Written by scripts/calibrate_estimate.py: real builds, and the fit of `estimate.features` to them."""

from typing import Any

FITS: dict[str, dict[str, Any]] = {}
BUILDS: dict[str, list[dict[str, Any]]] = {}
