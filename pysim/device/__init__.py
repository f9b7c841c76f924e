"""The device: its messages, its guard, and the model of the whole."""
