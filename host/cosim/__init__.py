"""Simulation of the generated gateware: one job in, the released rows out, on any of the engines."""
