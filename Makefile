# One verb per task. Each does its own set-up, says what it is doing, and can be run twice.
PYTHON ?= python3
PY := .venv/bin/python
# Of `make test`: two cores are busy with three, because much of what is tested waits.
PROCESSES ?= 3

# Some images forbid Python to keep what it compiled: each of a hundred processes would compile all anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help env demo up down test check simulate crash bench generate lock
help:           ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile
env:            ## install what is missing into .venv
	@$(PYTHON) local/bootstrap.py
demo: env       ## from a manifest to a computed result, on this machine
	@$(PY) -m dataflow_local.demo
up: env         ## start the local platform and leave it running; with TENANTS=yes each pipeline as its own ServiceAccount
	@$(PY) -m dataflow_local.standing up $(if $(TENANTS),--tenants)
down: env       ## stop it
	@$(PY) -m dataflow_local.standing down
test: env       ## every test, in three processes; with ARGS=tests/domain a part, in one
	@$(PY) -m dataflow_local.install
	@$(PY) -m pytest $(or $(ARGS),--numprocesses=$(PROCESSES))
check: env      ## format, lint, types, imports, generated files
	@$(PY) -m dataflow_local.check
simulate: env   ## CASES lives of the engine from SEED on, with every fault; or with TRACE=1 the story of one
	@$(PY) -m tests.simulation CASES=$(CASES) SEED=$(SEED) TRACE=$(TRACE)
crash: env      ## KILLS deaths of real operators by SIGKILL, with a second replica, cut wires and stand-stills
	@$(PY) -m tests.crash KILLS=$(KILLS) SEED=$(SEED)
bench: env      ## what the operator costs, with none and with 200 pipelines, and with 100 tenants
	@$(PY) -m dataflow_local.bench
generate: env   ## write all that is made from code anew: crds/, pages, policies, Argo CD's test data, the kit of monitoring
	@$(PY) -m dataflow_operator.api.generate
	@$(PY) -m tests.tidy.errors_page
	@$(PY) -m tests.tidy.failures_page
	@$(PY) -m tests.tidy.changes_page
	@$(PY) -m tests.tidy.kubectl_page
	@$(PY) -m tests.tidy.kubectl_picture
	@$(PY) -m tests.tidy.reach_policy
	@$(PY) -m dataflow_local.monitoring.generate
	@$(PY) -m tests.tidy.conditions_page
	@$(PY) -m tests.tidy.gitops_page
	@$(PY) -m tests.tidy.argocd_package
lock: env       ## compile requirements/*.txt anew from *.in
	@for name in operator dev beam go; do .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" requirements/$$name.in -o requirements/$$name.txt; done
