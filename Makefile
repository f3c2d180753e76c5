# Two commands: `make serve` opens the search page's server, `make test` proves that all of it works here.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Nothing is downloaded at run time; without this, a library would ask the model hub whether there is news.
export HF_HUB_OFFLINE := 1
# Tests that take minutes run in CI: `make test TESTS=` runs them here too.
TESTS ?= -m "not slow"
DOCS ?=

.PHONY: serve test lint bench clean

serve: $(VENV)/.installed
ifneq ($(DOCS),)
	$(BIN)/passages index $(DOCS)
endif
	$(BIN)/passages serve

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Quality on every judged set that is there; needs PASSAGES_DATA, takes minutes.
bench: $(VENV)/.installed-dev
	for set in squad-dev covidqa-passages cranfield xquad-en press-questions; do \
		$(BIN)/python -m eval retrieval "$${PASSAGES_DATA:-../shared/data}/$$set" --index "build/eval/$$set" || exit 1; \
	done

clean:
	rm -rf $(VENV) build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Passages needs Python 3.11 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# pip itself honours PIP_EXTRA_INDEX_URL, with which a CPU build of PyTorch can be had (see README).
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(VENV)/.installed $@
