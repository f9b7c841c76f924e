"""The network in gateware: neurons, layers, flippers, word sources, pacing."""
