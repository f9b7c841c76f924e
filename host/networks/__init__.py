"""Networks before they are integers: the float model, the trained example, the choice of scales."""
