"""From a plan and a board to a bitstream and a report, with the open tools (docs/build.md)."""
