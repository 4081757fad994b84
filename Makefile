# `make` lists the commands. All of them set up first what they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup up down status test lint format demo bench bench-models lock dashboards chart docs
STACK := .venv/bin/vigia-stack
PYTEST := .venv/bin/python -m pytest

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing (every other command does this first)
	@scripts/setup

demo: setup ## start everything, train on photographs, play a line through a camera, show the verdicts
	@.venv/bin/python -m vigia_stack.demo

up: setup ## start the stack and wait until every part answers
	@$(STACK) up

down: ## stop what `make up` and `make demo` started; data is kept
	@if [ -x $(STACK) ]; then $(STACK) down; else echo "nothing was set up"; fi

status: setup ## show every part: state, pid, restarts, address
	@$(STACK) status

test: setup ## run every test
	@scripts/helm
	@.venv/bin/python -m tests.acceptance.clients
	@$(PYTEST)

lint: setup ## check style and types
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@scripts/types

format: setup ## bring the code into the house style
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

bench: setup ## measure, as a table and as JSON
	@.venv/bin/python -m tests.bench

bench-models: setup ## measure how well models decide: ROW=cookies for one row, DATA=folder for images that are not shipped
	@.venv/bin/python -m tests.bench.models $(if $(DATA),--data $(DATA)) $(if $(ROW),--row $(ROW))

dashboards: setup ## build Grafana's dashboards from deploy/grafana/src
	@.venv/bin/python deploy/grafana/src/dashboards.py

chart: setup ## install helm, check the chart and test what it renders
	@scripts/helm
	@$(PYTEST) tests/deploy/test_chart.py

docs: setup ## write what is generated: AsyncAPI, event schemas
	@.venv/bin/vigia-contracts write shared/contracts/generated

lock: setup ## write all requirements.lock after a change of dependencies; UPGRADE=1 moves every version
	@scripts/lock
