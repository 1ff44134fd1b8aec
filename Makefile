# Every target works from a fresh clone by itself: the environment is made in .venv on first use.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
MEMBERS := kernel $(patsubst %/pyproject.toml,%,$(sort $(wildcard \
	drivers/*/pyproject.toml primitives/*/pyproject.toml frontends/*/pyproject.toml plugins/*/pyproject.toml)))
READY := $(VENV)/.ready
CLIS := .clis/.ready
KINDS := driver primitive frontend plugin
# One worker for each core; each takes the tests in their order, and one that is done takes over from another.
PARALLEL := -n logical --maxprocesses=8 --dist=worksteal
# What takes long and says little of a change in the making is left to `make test`.
LONG := tests/docs/test_matrix.py tests/docs/test_tutorial.py tests/docs/test_readme.py kernel/tests/test_crash.py

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz check style types bench matrix docs clis new-plugin constraints format ready clean $(KINDS)

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(READY) ## three scripted agents hand work to one another; type to them
	@$(BIN)/aegis demo $(ARGS)

test: $(READY) $(CLIS) ## everything: style, types, all tests, and the drivers against the real CLIs
	@$(MAKE) --no-print-directory --keep-going style types; static=$$?; \
	if [ -n "$(ARGS)" ]; then $(BIN)/python -m pytest $(ARGS); tests=$$?; \
	else $(BIN)/python -m pytest -q $(PARALLEL) --ignore=tests/live; tests=$$?; tests/live/run -q $(PARALLEL); live=$$?; fi; \
	exit $$(( static || tests || live ))

check: style types ## before a commit: style, types, imports, budgets, pages, and the kernel's own tests
	@$(BIN)/python -m pytest -q $(PARALLEL) tests/architecture tests/docs kernel/tests $(LONG:%=--ignore=%)

style: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

format: $(READY) ## put the sources into the one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each file by its name: to collect all tests takes longer than to fuzz one of them.
fuzz: $(READY) ## what reads foreign input, against input nobody thought of: make fuzz SECONDS=600
	@AEGIS_FUZZ_SECONDS=$(or $(SECONDS),60) PYTHONPATH=.make $(BIN)/python -m pytest -q -p fuzzing -p no:xdist -m fuzz \
		-o timeout=900 $(ARGS) $$(grep -rl --include='test_*.py' 'mark[.]fuzz' $(MEMBERS:%=%/tests))

bench: $(READY) ## the figures, each beside its floor
	@$(BIN)/python -m tests.bench $(ARGS)

matrix: $(READY) $(CLIS) ## what each real CLI can do: runs the live tests and writes docs/reference/providers
	@tests/live/run -q $(PARALLEL) --matrix
	@$(MAKE) --no-print-directory docs

docs: $(READY) ## write docs/reference and the README's package table anew
	@$(BIN)/python .make/reference.py

clis: $(CLIS) ## the real agent CLIs, in the versions the tests know, into .clis

new-plugin: $(READY) ## make new-plugin primitive dice (or KIND=primitive NAME=dice)
	@$(BIN)/python .make/scaffold.py $(or $(KIND),$(filter $(KINDS),$(MAKECMDGOALS))) $(or $(NAME),$(filter-out new-plugin $(KINDS),$(MAKECMDGOALS)))
	@$(MAKE) --no-print-directory docs

constraints: $(READY) ## choose new versions of everything that gets installed
	@printf -- '-e ./%s\n' kernel[testing] $(filter-out kernel,$(MEMBERS)) | $(BIN)/uv pip compile -q - --group dev \
		--no-sources --universal --upgrade --no-annotate --no-header --python $(BIN)/python -o $(VENV)/constraints.txt
	@grep -v '^-e ' $(VENV)/constraints.txt > constraints.txt

ready: $(READY)

clean: ## forget the environment, the CLIs and every cache
	rm -rf $(VENV) .clis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "aegis needs Python 3.11 or newer and found none; install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) could not make an environment in $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv

# Members are installed by their paths, never by name: some names belong to strangers on the package index.
$(READY): $(BIN)/uv constraints.txt pyproject.toml $(MEMBERS:%=%/pyproject.toml)
	@echo "making the environment in $(VENV) (once, and again when a pyproject.toml changes)"
	@$(BIN)/uv pip list -q --python $(BIN)/python --editable | awk 'NR > 2' | while read -r name version folder; do \
		test -e "$$folder/pyproject.toml" || $(BIN)/uv pip uninstall -q --python $(BIN)/python "$$name"; done
	@$(BIN)/uv pip install -q --python $(BIN)/python --constraint constraints.txt --build-constraint constraints.txt --no-sources \
		$(foreach member,$(MEMBERS),-e $(member)) --group dev
	@touch $@

$(CLIS): .make/clis.json
	@mkdir -p .clis
	@if command -v npm >/dev/null; then \
		cp .make/clis.json .clis/package.json \
		&& npm install --prefix .clis --no-audit --no-fund --no-package-lock --loglevel=error \
		&& touch $@; \
	else \
		echo "npm is not here, so the real agent CLIs are not installed and their tests are skipped"; \
	fi

# Words that are arguments of `make new-plugin primitive dice`, not targets.
ifneq ($(filter new-plugin,$(MAKECMDGOALS)),)
$(KINDS):
	@:
$(filter-out new-plugin $(KINDS),$(MAKECMDGOALS)):
	@:
endif
