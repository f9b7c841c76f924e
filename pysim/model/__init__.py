"""The network: specification and golden model."""
