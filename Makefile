# Attention, six ways. `make` builds its environment in .venv; `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The versions that the course is tested with; CONSTRAINTS= takes the newest that pyproject.toml allows.
CONSTRAINTS ?= --constraint constraints.txt
# Where pip would bring gigabytes of CUDA packages that you do not need, name PyTorch's own CPU index:
# make demo TORCH_INDEX="--index-url https://download.pytorch.org/whl/cpu"
TORCH_INDEX ?=
# uv where it is there, pip elsewhere or with UV=; not `uv sync`, which takes uv.lock's own addresses and CUDA packages
UV ?= $(shell command -v uv 2> /dev/null)
INSTALL = $(if $(UV),$(UV) pip install --python $(BIN)/python,$(BIN)/python -m pip install) --quiet $(CONSTRAINTS)

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
	@echo "make wheels          build both packages' wheels into build/dist/: the kit's may lie beside a notebook"
	@echo "make lock            write uv.lock and constraints.txt anew (LOCK_OPTIONS=--upgrade takes newer versions)"
	@echo "make site            build the static site into build/site/: README, lessons, pages, the kit's API"
	@echo "make normalise       bring the notebooks in source/ and notebooks/ into their normal form"
	@echo "make lab             JupyterLab on the START page, as a student (LAB_OPTIONS=--no-browser and the like)"
	@echo "make lab-instructor  JupyterLab in the course root, with Formgrader and Create Assignment"
	@echo "make lint            ruff, imports between rooms, declared dependencies, types, Dockerfile, workflows"
	@echo "make clean           remove build/; .venv stays"

# One stamp a set of packages: it is rebuilt when the declared dependencies change
$(VENV)/stamp: pyproject.toml grading/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip setuptools
	$(INSTALL) $(TORCH_INDEX) torch
	$(INSTALL) -e ".[notebook]" -e "./grading[class]"
	touch $@

$(VENV)/stamp-test: $(VENV)/stamp
	$(INSTALL) -e ".[notebook,models,test,site]" -e "./grading[class,cluster,postgres]"
	touch $@

$(VENV)/stamp-site: $(VENV)/stamp
	$(INSTALL) -e ".[notebook,models,site]" -e "./grading[class]"
	touch $@

.PHONY: lock
lock:
	uv lock $(LOCK_OPTIONS)
	uv export --quiet --frozen --all-packages --all-extras --no-emit-workspace --no-hashes --no-annotate \
	    --output-file constraints.txt

# The oldest versions that pyproject.toml allows: make quick CONSTRAINTS="--constraint build/oldest.txt"
build/oldest.txt: pyproject.toml grading/pyproject.toml
	mkdir -p build
	grep -Eoh '"[a-z0-9-]+(\[[a-z]+\])?>=[0-9.]+' $^ | sed -E 's/"//; s/\[.*\]//; s/>=/==/' | sort -u > $@

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
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

.PHONY: release
release: $(VENV)/stamp
	$(BIN)/python -m attention_grading.authoring.release $(if $(FORCE),--force) $(if $(ANY_ADDRESS),--any-address)

# The same bytes whoever builds them: dated by the last commit. build/lib would carry modules that are gone.
.PHONY: wheels
wheels: $(VENV)/stamp
	rm -rf build/lib grading/build build/dist
	umask 022 && SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m pip wheel \
	    --quiet --no-deps --no-build-isolation --wheel-dir build/dist . ./grading
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
