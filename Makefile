# Every target sets up what it needs. Only git, python3 >= 3.11 (with venv), g++, make and perl come from the system.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 2

.PHONY: demo test fuzz bench boards dist lint soak setup lock clean

demo: $(READY) ## the main job: trained network, real images, golden model = gateware, with its epsilon
	$(BIN)/spikeveil demo

test: $(VENV)/.ready-train ## the whole always-on suite
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

soak: $(VENV)/.ready-train ## the suite again with the full counts (kills, random cases)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --soak

fuzz: $(VENV)/.ready-train ## 10,000 mutated files at every parser
	$(BIN)/python -m pytest tests/fuzz -n $(JOBS) --fuzz

bench: $(VENV)/.ready-bench ## ratios against named baselines, table and JSON
	$(BIN)/python scripts/bench.py --json out/bench.json

boards: $(READY) ## a bitstream for every board, its netlist simulated; table and JSON in out/
	$(BIN)/python scripts/boards.py --jobs $(JOBS)

dist: $(READY) ## wheel and sdist, the same bytes from the same commit
	$(BIN)/python scripts/dist.py --output dist

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(READY)

$(READY): requirements.lock pyproject.toml scripts/preflight.sh
	@sh scripts/preflight.sh
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-train: $(READY) requirements-train.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-train.txt
	@touch $@

$(VENV)/.ready-bench: $(VENV)/.ready-train requirements-bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	@touch $@

lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --extra sim --extra plot --extra data --extra accounting --extra nir --extra device --extra boards --extra parquet \
	    --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
