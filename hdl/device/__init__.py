"""The device in gateware: guard, messages, buffers and the top level around the engine."""
