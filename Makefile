# The project's commands. Every target makes .venv first when it is missing; `make help` prints this list.
.NOTPARALLEL:
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2

EXPERIMENT ?=
RUN ?= last
SWEEP ?=
PAPER ?=
STUDY ?= circuits
KEYS = $(if $(CIRCUIT),circuit=$(CIRCUIT)) $(if $(DATASET),dataset=$(DATASET)) $(if $(SEED),seed=$(SEED)) \
	$(if $(EPOCHS),training.epochs=$(EPOCHS)) $(SET)
ON = $(if $(BACKEND),backend=$(BACKEND))

.PHONY: help
help: ## Print this list
	@echo "make TARGET [CIRCUIT=full] [BACKEND=aer_noisy] [DATASET=mnist] [EXPERIMENT=name] [SEED=0,1,2] [EPOCHS=3]"
	@echo "            [SET=\"a.b=c ...\"] [RUN=runs/...] [SWEEP=runs/sweeps/...] [DRY=1]"
	@grep -hE '^[a-z_-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.PHONY: setup
setup: $(READY) ## Make .venv with all that the project needs

.PHONY: train
train: $(READY) ## Train a hybrid classifier (by default digits, full entanglement, a calibrated device's noise)
	@$(BIN)/qshield train $(EXPERIMENT) $(ON) $(KEYS)

.PHONY: evaluate
evaluate: $(READY) ## Evaluate a trained run, on another backend if BACKEND is given
	@$(BIN)/qshield evaluate $(RUN) $(ON) $(SET)

.PHONY: attack
attack: $(READY) ## Attack a trained run at full strength (ATTACK=pgd,apgd, ATTACK=paper)
	@$(BIN)/qshield attack $(RUN) $(if $(ATTACK),attack=$(ATTACK)) $(ON) $(SET)

.PHONY: verdict
verdict: $(READY) ## Judge whether a run's robustness figures may be believed
	@$(BIN)/qshield verdict $(RUN) $(ON) $(SET)

.PHONY: sweep
sweep: $(READY) ## Train, attack and judge a grid of runs; killed and called again, it goes on (EXPERIMENT=paper/digits)
	@$(BIN)/qshield sweep $(EXPERIMENT) $(ON) $(KEYS)

.PHONY: certify
certify: $(READY) ## Certify a run's predictions: radii within which they cannot change (CERTIFICATE=smoothing,lipschitz)
	@$(BIN)/qshield certify $(RUN) $(if $(CERTIFICATE),certificate=$(CERTIFICATE)) $(ON) $(SET)

.PHONY: report
report: $(READY) ## Write what attacks on the last run (or RUN, or SWEEP) found as one HTML page; PAPER=mnist: beside the paper's
	@$(BIN)/qshield report $(if $(PAPER),--paper $(PAPER)) $(or $(SWEEP),$(if $(PAPER),,$(RUN)))

.PHONY: compare
compare: $(READY) ## Make examples on the first of BACKEND=a,b and say how far the others are from it
	@$(BIN)/qshield compare $(RUN) $(if $(ATTACK),attack=$(ATTACK)) $(ON) $(SET)

.PHONY: submit
submit: $(READY) ## Send the last run to a device of IBM's, BACKEND=ibm_runtime; DRY=1 only says what it would cost
	@$(BIN)/qshield submit $(RUN) $(ON) $(SET) $(if $(DRY),--dry-run)

.PHONY: jobs
jobs: $(READY) ## List the jobs that were sent to devices
	@$(BIN)/qshield jobs list

.PHONY: study
study: $(READY) ## Study what circuits can do and what they cost on devices (STUDY=circuits SET="num_qubits=3")
	@$(BIN)/qshield study $(STUDY) $(SET)

.PHONY: export
export: $(READY) ## Write a run's model with a card of its figures and verdict into TO=models/mine; REPLACE=1: in another's place
	@$(BIN)/qshield export $(RUN) $(if $(TO),--to $(TO)) $(if $(REPLACE),--replace)

.PHONY: list
list: $(READY) ## List circuits, backends, experiments, data sets and attacks
	@$(BIN)/qshield list

.PHONY: doctor
doctor: $(READY) ## Say what is installed and what is missing
	@$(BIN)/qshield doctor

.PHONY: test
test: $(READY) ## Run all tests, the notebooks included
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

.PHONY: coverage
coverage: $(READY) ## Run all tests and say which lines no test reaches
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term-missing

.PHONY: lint
lint: $(READY) ## Check style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: $(READY) ## Time the quantum layer against its peers, one thread, and write benchmarks/results.json
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks

.PHONY: notebooks
notebooks: $(READY) ## Execute the tutorials in place
	@OMP_NUM_THREADS=2 $(BIN)/jupyter execute --inplace notebooks/*.ipynb

.PHONY: wheel
wheel: $(READY) ## Build the wheel and the source distribution into dist/
	@$(BIN)/python -m build --quiet

.PHONY: clean
clean: ## Remove what was built, but no run
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
