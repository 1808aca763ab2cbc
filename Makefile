# Every target's one-line description is the text behind its `##`; `make help` prints them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up down destroy status dashboard logs smoke env image bench preview recover test test-quick test-upgrade test-aks \
	fuzz kubernetes kubernetes-programs lint format lock toolchain venv engine

# Any Python from 3.11 on; it only makes the virtual environment.
PYTHON ?= python3
VENV := .venv/bin/python
STACK_CONFIG ?= stacks/Pulumi.local.yaml
PLATFORM := .venv/bin/mlflow-platform
LOCAL := --config-file $(STACK_CONFIG)
# The groups of .ci/budgets are shared out in the order of tests/conftest.py. Tests that start processes often wait for
# them, so four workers keep two cores busy; two are enough for the quick ones.
SHARED := --dist loadscope --no-loadscope-reorder

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: toolchain ## Bring the whole platform up on this machine, check it, and print its URL (IMAGE=name: from an image; ACCESS=entra: with sign-in)
	@$(PLATFORM) up $(LOCAL) $(if $(IMAGE),--image "$(IMAGE)") $(if $(ACCESS),--access "$(ACCESS)") $(if $(NO_SMOKE),--no-smoke)

down: venv ## Stop everything, keep the data
	@$(PLATFORM) down $(LOCAL)

destroy: toolchain ## Remove everything with its data; asks first, YES=1 does not
	@$(PLATFORM) destroy $(LOCAL) $(if $(YES),--yes)

status: venv ## Show the processes; fails unless all are ready (JSON=1 for a document)
	@$(PLATFORM) status $(LOCAL) $(if $(JSON),--json)

dashboard: venv ## Show the local stack's metrics as charts until Ctrl-C (PORT=8080; JSON=1 for the present values)
	@$(PLATFORM) dashboard $(LOCAL) $(if $(PORT),--port $(PORT)) $(if $(JSON),--json)

logs: venv ## Show the end of the logs (SERVICE="tracking registry", FOLLOW=1, LINES=40)
	@$(PLATFORM) logs $(LOCAL) $(SERVICE) $(if $(FOLLOW),--follow) $(if $(LINES),--lines $(LINES))

smoke: venv ## Run the smoke program against the local stack, or URL=https://...
	@$(PLATFORM) smoke $(if $(URL),"$(URL)",$(LOCAL)) $(if $(JSON),--json)

env: toolchain ## Print the exports for plain `pulumi` commands, for the eval of a shell
	@$(PLATFORM) env $(LOCAL)

image: venv ## Build the image and print its digest (BASE=name@sha256:..., else a base is made here; JSON=1, OUTPUT=folder)
	@tools/containers.sh
	@$(PLATFORM) image build $(if $(BASE),--base "$(BASE)") $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(JSON),--json)

bench: toolchain ## Load stock MLflow and this platform side by side (OUTPUT=folder, QUICK=1, SCENARIO=logging; SOAK=20 minutes)
	@$(PLATFORM) bench $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(QUICK),--quick) $(if $(SCENARIO),--scenario "$(SCENARIO)") $(if $(SOAK),--soak "$(SOAK)")

preview: toolchain ## Report what STACK=prod would change on Azure, offline, with no login (AGAINST=HEAD, DIFF=1, JSON=1)
	@$(PLATFORM) preview --offline "$(STACK)" $(if $(AGAINST),--against "$(AGAINST)") $(if $(DIFF),--diff) $(if $(JSON),--json)

recover: toolchain ## Bring STACK=prod back after a killed `pulumi up`; says what it found and asks (YES=1, JSON=1)
	@$(PLATFORM) recover "$(STACK)" $(if $(YES),--yes) $(if $(JSON),--json)

test: toolchain $(if $(CORE),kubernetes-programs) ## Run every test that needs no Kubernetes, or with CORE=1 a few of those too (TESTS="tests/infra -k settings" for some)
	@$(PYTHON) tools/venv.py --dev > /dev/null
	@$(VENV) -m pytest -n 4 $(SHARED) --budgets --durations=10 -m "not kubernetes$(if $(CORE), or core)" $(TESTS)

test-quick: venv ## Run the tests that start no process: no engine, no database, no gateway (two minutes, more on a busy machine)
	@$(PYTHON) tools/venv.py --dev > /dev/null
	@$(VENV) -m pytest -n 2 $(SHARED) -m "not processes" $(TESTS)

test-upgrade: toolchain ## Upgrade data of MLflow 2.22 and 3.10 to this version beside a client that keeps logging (minutes)
	@$(PYTHON) tools/venv.py --dev > /dev/null
	@$(VENV) -m tests.end_to_end.upgrade

test-aks: toolchain kubernetes-programs ## Run the tests on a real Kubernetes; the first run builds it (20 minutes); CORE=1 for a few
	@$(PYTHON) tools/venv.py --dev > /dev/null
	@$(VENV) -m pytest -n 2 $(SHARED) --budgets --durations=10 -m $(if $(CORE),core,kubernetes) $(TESTS)

kubernetes: venv kubernetes-programs ## Start a real Kubernetes with simulated nodes until Ctrl-C; prints its KUBECONFIG
	@$(PYTHON) tools/venv.py --dev > /dev/null
	@$(VENV) -m tests.support.kubernetes

fuzz: toolchain ## Send wrong requests to a local stack of its own and compare with stock MLflow (SECONDS=300, SEED, JSON=1)
	@$(PYTHON) tools/venv.py --dev > /dev/null
	@$(VENV) -m tests.end_to_end.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json)

# What it would ask other programs, such as a machine's shellcheck, it asks nowhere: a finding is one on every machine.
ACTIONLINT := -no-color -shellcheck= -pyflakes=

# What mypy found is kept outside of the checkout: it checks again what has another content, in every clone.
lint: export MYPY_CACHE_DIR ?= $(or $(filter /%,$(XDG_CACHE_HOME)),$(HOME)/.cache)/mlflow-platform/mypy
# On a busy machine mypy's workers may not start within its three seconds, which it ends with 2, as it does when another
# one has the cache: then it works alone, and on a cache of the checkout.
lint: venv ## Check style, types, English, the Containerfile and the workflows
	@$(PYTHON) tools/venv.py --dev > /dev/null
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy --num-workers 2 . || { [ $$? -eq 2 ] && $(VENV) -m mypy --cache-dir .mypy_cache .; }
	@.venv/bin/hadolint runtime/Containerfile
	@.venv/bin/zizmor --offline --quiet .github/workflows
	@$$($(PYTHON) tools/actionlint/program.py) $(ACTIONLINT)
	@$(VENV) tools/words.py

format: venv ## Rewrite the sources in the project's style
	@$(PYTHON) tools/venv.py --dev > /dev/null
	@$(VENV) -m ruff check --fix .
	@$(VENV) -m ruff format .

lock: venv ## Resolve the dependencies again and write the lock files
	@$(VENV) tools/lock.py

# The virtual environment and the engine take minutes on a new machine and do not depend on each other.
toolchain:
	@$(MAKE) --no-print-directory -j2 venv engine

venv:
	@$(PYTHON) tools/venv.py > /dev/null

engine:
	@$(PYTHON) tools/pulumi/engine.py > /dev/null

kubernetes-programs:
	@$(PYTHON) tools/kubernetes/programs.py > /dev/null
