# `make run` starts the whole system and shows it at work. `make test` checks all of it, `make quick` what breaks first.
# They set up a virtual environment first, the first time; nothing else on the machine is touched.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# What failed runs once more, alone. What passes then is named at the end and in .flakes, and two such make it red, and
# so does what is left behind.
PYTEST = $(BIN)/python -m pytest -q -p tests.second_try -p tests.bar -p tests.leaks
export TEST_RUN := $(shell date +%Y-%m-%dT%H:%M:%S)

# Most tests wait now and then, so two cores have work for three.
SIDE_BY_SIDE = --numprocesses 3

# The units that start processes and servers of their own are not for `make quick`.
QUICK_UNITS = tests/unit $(patsubst %,--ignore tests/unit/test_%.py,embedded leaks makefile prepared second_try way_out)

# RANDOM=1: the tests in an order by chance, whose number they say at the end; RANDOM=NUMBER: in that order again.
ifdef RANDOM
export PYTEST_ADDOPTS += --shuffle=$(if $(filter 1,$(RANDOM)),any,$(RANDOM))
endif

# A venv without pip is one that could not be finished, and is finished then. What fails leaves none behind.
define MAKE_VENV
test -e $(VENV) || made=yes; \
said=$$($(PYTHON) -m venv $(VENV) 2>&1) || { \
  test -z "$$made" || rm -rf $(VENV); \
  case "$$said" in \
    *"ensurepip is not"*|*"No module named venv"*|*"No module named ensurepip"*) \
      echo "$(PYTHON) lacks what makes a virtual environment: apt install $(notdir $(PYTHON))-venv (Debian, Ubuntu)," \
        "or uv venv --seed $(VENV), or take another: make PYTHON=python3.12 run";; \
    *) echo "$$said"; echo "$(PYTHON) could not make $(VENV); what it said stands above.";; \
  esac; \
  exit 1; \
}
endef

.PHONY: help run notebooks quick test prove everything check bench proto clean
.DEFAULT_GOAL := help

help:
	@echo "make run         start everything, submit some jobs and show them at work; Ctrl-C stops it"
	@echo "make notebooks   JupyterLab on a running system, to look inside it"
	@echo "make quick       lint, type-check, the quick tests and the proofs of chapter 01; half a minute"
	@echo "make test        lint, type-check and test everything, but what was proved and has not changed since"
	@echo "make prove       the same, and every proof once more"
	@echo "make check       lint and type-check only"
	@echo "make bench       side by side with ten other queues; takes a quarter of an hour"
	@echo "make proto       generate the protobuf and gRPC code anew"
	@echo "make clean       remove the virtual environment, the data and the caches"

run: $(VENV)/.installed
	@$(BIN)/scheduler up --demo

notebooks: $(VENV)/.installed-notebooks
	@$(BIN)/python -m workbook.notebook

quick: check
	@$(PYTEST) --part "quick tests, 1 of 2" $(QUICK_UNITS) $(SIDE_BY_SIDE) --dist loadfile
	@$(PYTEST) --part "proofs of chapter 01, 2 of 2" tests/chapters -k "01_queue" $(SIDE_BY_SIDE) --remembered

# What was green and depends on nothing that has changed is left out by `make test` alone.
test: REMEMBERED = --remembered
test: everything

prove: everything

everything: check
	@$(PYTEST) --part "tests of the scheduler and the workbook, 1 of 2" tests --ignore tests/chapters $(SIDE_BY_SIDE) --dist loadfile
	@$(PYTEST) --part "proofs of the chapters, 2 of 2" tests/chapters $(SIDE_BY_SIDE) --dist worksteal $(REMEMBERED)

check: $(VENV)/.installed-dev
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> mypy"
	@$(BIN)/mypy

bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks

proto: $(VENV)/.installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto --python_out=reference --mypy_out=reference \
	  --grpc_python_out=reference --mypy_grpc_out=reference proto/scheduler/v1/scheduler.proto

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed. If you have one under another name: make PYTHON=python3.12 run"; exit 1; }
	@echo "==> setting up $(VENV); this takes a minute the first time"
	@$(BIN)/python -c 'import pip' 2>/dev/null || { $(MAKE_VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "==> installing the tools for tests"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,notebooks]'
	@touch $@

$(VENV)/.installed-notebooks: $(VENV)/.installed
	@echo "==> installing JupyterLab and what the notebooks draw with"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[notebooks]'
	@touch $@

clean:
	rm -rf $(VENV) .data .mypy_cache .ruff_cache .pytest_cache .proved .took
