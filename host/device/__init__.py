"""The link to a device: the driver, and a model of the device behind a pseudo-terminal (docs/device.md)."""
