"""`python -m spikeveil`: the command line."""

from spikeveil.host.cli import main

main(prog_name="spikeveil")
