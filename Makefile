# Two commands: `make demo` and `make test`. Each sets up what it needs; `make help` lists the others.
SHELL := /bin/bash
PYTHON ?= python3
SEED ?= 1
ORDERS ?= 500
SHIPMENTS ?= 1000000
TESTS ?=
INVOICES ?= 1000000
export PYTHON

run := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup up down status demo test test-long lint clean bench-edi bench-rating bench-settlement

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

setup: ## the environment, from the hash-pinned lock (once)
	@requirements/setup.sh run

demo: setup ## play one seeded day of freight and prove the books (SEED=1 ORDERS=500)
	@$(run)/freightsync demo --seed $(SEED) --orders $(ORDERS)

up: setup ## start the local stack, or heal what was killed
	@$(run)/freightsync up

down: ## stop the local stack
	@if [ -x $(run)/freightsync ]; then $(run)/freightsync down; else echo "Nothing was set up."; fi

status: setup ## what of the local stack runs, with memory
	@$(run)/freightsync status

test: setup ## all tests but the long ones (TESTS=path for some)
	@.ci/tests $(TESTS)

test-long: setup ## kills at many points, mutations, several seeds at full size; before a release
	@$(run)/python -m pytest -m long

lint: setup ## ruff, mypy, sqlfluff: what pre-commit and CI insist on
	@requirements/setup.sh lint
	@$(run)/ruff format --check .
	@$(run)/ruff check .
	@$(run)/mypy
	@.venv-lint/bin/sqlfluff lint --processes 0 dbt

bench-edi: setup ## how fast X12 is read, in segments a second
	@$(run)/python bench/edi_read.py

bench-rating: setup ## how long rating by contract takes (SHIPMENTS=1000000)
	@$(run)/python bench/rating.py --shipments $(SHIPMENTS)

bench-settlement: setup ## carrier invoices from files to the ledger, against a floor and a peer (INVOICES=1000000)
	@$(run)/python bench/settlement.py --invoices $(INVOICES)

clean: down ## stop everything and remove what was built (the database and its books too)
	@if [ -x $(run)/freightsync ]; then $(run)/freightsync down --destroy; fi
	rm -rf .venv .venv-lint .venv-tools bench/peers/.venv var .pytest_cache .mypy_cache .ruff_cache .hypothesis dbt/target dbt/logs
