"""The virtual board: the gateware's top level in Verilator, behind a serial port; and what is done to it in tests."""
