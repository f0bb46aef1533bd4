# Everything starts from a bare checkout: each target first builds .venv with the pinned dependencies, once.
# Choose another interpreter with `make PYTHON=python3.12 test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo
TEST_JOBS ?= 2

# Written last, so an interrupted installation leaves none and the next call begins again from an empty environment.
STAMP := $(VENV)/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# One thread for each of the TEST_JOBS processes: more would fight over the same cores. The slowest are named, as
# all together have to stay under ten minutes.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TEST_JOBS) --dist loadfile --durations 40

.PHONY: help demo test test-all lint format example clean

help:
	@echo "make demo      fit the embedded data, forecast, and write $(RUN)/report.html"
	@echo "make test      the fast tests"
	@echo "make test-all  the slow ones as well"
	@echo "make lint      ruff and mypy"
	@echo "make format    let ruff rewrite the sources"
	@echo "make example   run the README's Python example"
	@echo "make clean     remove .venv and caches; runs/ stays"

demo: $(STAMP)
	$(BIN)/latentsde demo --out $(RUN) --overwrite
	@echo "Report: $(abspath $(RUN))/report.html"

test: $(STAMP)
	$(PYTEST)

test-all: $(STAMP)
	$(PYTEST) -m ""

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(STAMP)
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

example: $(STAMP)
	$(BIN)/python tests/readme_example.py

clean:
	rm -rf $(VENV) build dist *.egg-info latentsde/brownian/kernels/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find latentsde tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The C++ kernel is built by the installation.
$(STAMP): pyproject.toml setup.py constraints.txt $(wildcard latentsde/brownian/kernels/cpu/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "latentsde needs Python 3.10 or newer; choose one with: make PYTHON=/path/to/python3"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot create environments: install its venv package (Debian, Ubuntu:" \
		       "apt-get install python3-venv) or choose another with: make PYTHON=/path/to/python3"; exit 1; } >&2
	@test -f $@ || { echo "Creating $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@rm -f $@
	@echo "Installing the pinned dependencies into $(VENV), a few minutes the first time: [1/3] PyTorch"
	@$(PIP) torch setuptools
	@echo "[2/3] the other dependencies and latentsde"
	@$(PIP) --no-build-isolation --editable '.[test,lint]'
	@echo "[3/3] check"
	@$(BIN)/python -m pip --disable-pip-version-check check
	@touch $@
