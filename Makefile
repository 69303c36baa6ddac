# Two commands for a newcomer: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TO_TEST := $(VENV)/.ready-to-test

.PHONY: help demo test serve lint format bench soak peers site clean

help:
	@echo "make demo    one recorded phone call, from an empty folder to the MP3"
	@echo "make test    everything: lint, types, layers, unit, functional, interop"
	@echo "make serve   start the server for use (HTTP 127.0.0.1:8080, SIP 127.0.0.1:5060)"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make bench   what one call costs on this machine (several minutes)"
	@echo "make soak    thousands of kill -9 with 20 calls each (hours; KILLS=4000 SEED=1)"
	@echo "make site    the documentation as a site, in build/site"
	@echo "make clean   remove the virtual environment and caches"

$(READY): pyproject.toml constraints.txt scripts/make-venv
	@scripts/make-venv "$(PYTHON)" "$(VENV)" '.[speech]'
	@touch $@

$(READY_TO_TEST): $(READY)
	@scripts/make-venv "$(PYTHON)" "$(VENV)" '.[speech,piper,postgres,docs,dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python -m examples.demo

test: $(READY_TO_TEST) peers
	@scripts/run-tests

peers:
	@scripts/install-test-peers

serve: $(READY)
	@$(BIN)/voiceblocks serve

lint: $(READY_TO_TEST)
	@scripts/run-lint

format: $(READY_TO_TEST)
	@$(BIN)/ruff format src tests examples benchmarks scripts
	@$(BIN)/ruff check --fix src tests examples benchmarks scripts

bench: $(READY_TO_TEST)
	@$(BIN)/python benchmarks/run_all.py

soak: $(READY_TO_TEST)
	@$(BIN)/python -m benchmarks.random_kills --kills $(or $(KILLS),4000) --seed $(or $(SEED),1)

site: $(READY_TO_TEST)
	@$(BIN)/mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
