# Attention, six ways. `make` builds its environment in .venv; `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The version that the course is measured with. Where pip would bring gigabytes of CUDA packages that you do not need,
# name PyTorch's own CPU index: make demo TORCH_INDEX="--index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

export OMP_NUM_THREADS ?= 1

# Test files side by side, one process a core; WORKERS=0 runs them in one process, which a debugger needs
WORKERS ?= auto
PYTEST_OPTIONS ?=
# What no marker sets apart (CONTRIBUTING.md, "Tests")
QUICK := not process and not nbgrader and not browser and not gpu and not slow
# What JupyterLab is told: make lab LAB_OPTIONS="--no-browser --port 9000"
LAB_OPTIONS ?=

.PHONY: help
help:
	@echo "make demo            build the environment, then the whole round on a small class in build/demo/"
	@echo "make test            build the environment, then run all tests (PYTEST_OPTIONS=\"-k heatmap\" runs some);"
	@echo "                     what needs Chromium, PostgreSQL or a GPU is skipped by name where that is missing"
	@echo "make quick           build the environment, then run the tests that start no processes and take no time"
	@echo "make release         write release/ from source/ and notebooks/ (FORCE=1 overwrites changed notebooks)"
	@echo "make wheel           build the learner kit's wheel into build/dist/, to lie beside a notebook"
	@echo "make site            build the static site into build/site/: README, lessons, pages, the kit's API"
	@echo "make normalise       bring the notebooks in source/ and notebooks/ into their normal form"
	@echo "make lab             JupyterLab on the START page, as a student (LAB_OPTIONS=--no-browser and the like)"
	@echo "make lab-instructor  JupyterLab in the course root, with Formgrader and Create Assignment"
	@echo "make lint            ruff, imports between rooms, declared dependencies, types"
	@echo "make clean           remove build/; .venv stays"

# One stamp a set of packages: it is rebuilt when the declared dependencies change
$(VENV)/stamp: pyproject.toml grading/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e ".[notebook]" -e "grading[class]"
	touch $@

$(VENV)/stamp-test: $(VENV)/stamp
	$(BIN)/python -m pip install --quiet -e ".[notebook,models,test,site]" -e "grading[class,cluster,postgres]"
	touch $@

$(VENV)/stamp-site: $(VENV)/stamp
	$(BIN)/python -m pip install --quiet -e ".[notebook,models,site]" -e "grading[class]"
	touch $@

.PHONY: demo
demo: $(VENV)/stamp
	$(BIN)/python -m attention_grading.authoring.demo build/demo

.PHONY: test
test: $(VENV)/stamp-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_OPTIONS)

.PHONY: quick
quick: $(VENV)/stamp-test
	$(BIN)/python -m pytest -n $(WORKERS) -m "$(QUICK)" $(PYTEST_OPTIONS)

.PHONY: lint
lint: $(VENV)/stamp-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/deptry --config grading/pyproject.toml grading/src
	$(BIN)/mypy

.PHONY: release
release: $(VENV)/stamp
	$(BIN)/python -m attention_grading.authoring.release $(if $(FORCE),--force) $(if $(ANY_ADDRESS),--any-address)

# build/lib would carry modules that are gone into the wheel
.PHONY: wheel
wheel: $(VENV)/stamp
	rm -rf build/lib build/dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/dist .
	@ls build/dist/*.whl

.PHONY: site
site: $(VENV)/stamp-site
	HF_HUB_OFFLINE=1 $(BIN)/python docs/site/build.py

.PHONY: normalise
normalise: $(VENV)/stamp
	$(BIN)/python -m attention_grading.authoring.normalise source notebooks

.PHONY: lab
lab: $(VENV)/stamp
	$(BIN)/attention-lab start $(LAB_OPTIONS)

.PHONY: lab-instructor
lab-instructor: $(VENV)/stamp
	$(BIN)/python -m attention_grading.authoring.lab $(LAB_OPTIONS)

.PHONY: clean
clean:
	rm -rf build
