# make search   install what is needed, then search the BBCU space for ×4 super-resolution
# make dashboard  show the studies as pages, until Ctrl-C
# make test     install what is needed, then lint, type-check and test
# make soak     the tests that cause faults for minutes, which make test leaves out
# make install  only prepare .venv; nothing is done twice
# make docs     install what is needed, then build the documentation in build/site
# make notebooks  run the notebooks of docs/notebooks and keep their outputs
# make wheel    build a wheel for this platform in dist
# make runtime  build the wheel of bbnas-runtime, which runs packed models without torch, in dist
#
# The versions are those of constraints.txt. PyPI's torch for x86-64 Linux carries gigabytes of
# CUDA libraries, so torch is taken from TORCH_INDEX where that can be reached; for a GPU build:
#   make install TORCH_INDEX=https://download.pytorch.org/whl/cu130
# Options for every pip call, such as a mirror:
#   make install PIP_FLAGS="--index-url https://pypi.example.org/simple"

PYTHON      ?= python3
PIP_FLAGS   ?=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BUDGET      ?= 200

VENV  := .venv
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs

.PHONY: install search dashboard test soak docs notebooks wheel runtime clean

install: $(STAMP)

search: install
	$(BIN)/bbnas search --space bbcu --task sr4 --budget $(BUDGET)

dashboard: install
	$(BIN)/bbnas dashboard

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto

soak: install
	$(BIN)/pytest -m soak --session-timeout=1200

docs: $(DOCS_STAMP)
	$(BIN)/python docs/build.py site

notebooks: $(DOCS_STAMP)
	$(BIN)/python docs/build.py notebooks

wheel: install
	$(BIN)/python -m hatchling build -t wheel -d dist

runtime: install
	cd bbnas/runtime && $(CURDIR)/$(BIN)/python -m hatchling build -t wheel -d $(CURDIR)/dist

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find bbnas tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: $(PYTHON) not found; install Python 3.11 or newer, or set PYTHON=" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; run make with PYTHON=python3.11 or newer" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: $(PYTHON) has no venv; on Debian: sudo apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The stamp comes last: an interrupted install is taken up again.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install $(PIP_FLAGS) --retries 1 --no-deps -c constraints.txt \
	  $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(PIP) install $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@

$(DOCS_STAMP): $(STAMP)
	$(PIP) install $(PIP_FLAGS) -c constraints.txt -e '.[dev,docs]'
	@touch $@
