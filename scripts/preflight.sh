#!/bin/sh
# Checks what an installation needs, and names what is missing.
set -eu
missing=""
for tool in g++ make perl git; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
if [ -n "$missing" ]; then
    echo "spikeveil needs$missing: on Debian or Ubuntu, run 'sudo apt-get install$missing'." >&2
    exit 1
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "spikeveil needs Python 3.11 or newer, and python3 here is $(python3 --version 2>&1)." >&2
    exit 1
}
python3 -c 'import ensurepip, venv' 2>/dev/null || {
    echo "spikeveil needs Python's venv module: on Debian or Ubuntu, run 'sudo apt-get install python3-venv'." >&2
    exit 1
}
