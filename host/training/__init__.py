"""Training of spiking networks in PyTorch: surrogate gradients, DP-SGD, quantisation, the flipper in the loop.

Needs `pip install 'spikeveil[train]'`; nothing else of spikeveil imports this package, except inside its commands.
"""
