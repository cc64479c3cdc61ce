# The book's commands. `make help` lists them; each installs what it needs first.

VENV ?= .venv
PYTHON ?= python3 python3.13 python3.12 python3.11
PROFILE ?= quick
SEED ?= 0
SEEDS ?= 0 1 2 3 4
PORT ?= 8000
SECONDS ?= 600
TORCH ?= 2.13.0
NAME ?=
URL ?=
REF ?=

# Relative, since the folder's own path may hold spaces, which make cannot.
PY := $(VENV)/bin/python
READY := $(VENV)/.installed
SETTINGS = --profile $(PROFILE) --seed $(SEED)

# Says what a target does (its own help line), does it, says how long it took.
define timed
@echo "== make $@: $$(sed -n 's/^$@:.*## //p' Makefile)"; start=$$(date +%s); \
{ $(1); }; status=$$?; echo "== make $@: $$(($$(date +%s) - start)) s"; exit $$status
endef

ifneq ($(words $(VENV)),1)
$(error VENV must be a path without spaces, got "$(VENV)")
endif

.DEFAULT_GOAL := help
.PHONY: help book test serve chapter pdf lighthouse preview report lint zh bands evidence repo bench mutants soak lock oldest clean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{printf "  %-15s %s\n", $$1, $$2}'
	@echo "Settings: PROFILE=quick|full SEED=0 VENV=.venv PYTHON=python3, as in: make book PROFILE=full SEED=3"

book: $(READY) ## execute the chapters, check every result, build the site into _build/site
	$(call timed,$(PY) -m tools.book $(SETTINGS))

test: $(READY) ## build the book where it is not up to date, then run all tests
	$(call timed,$(PY) -m tools.book && $(PY) -m pytest)

serve: $(READY) ## build the book where it is not up to date, then serve it on this machine (PORT=8000)
	$(call timed,$(PY) -m tools.book $(SETTINGS) && $(PY) -m tools.serve $(PORT))

chapter: $(READY) ## execute, check and build one chapter: NAME=05
	$(call timed,$(PY) -m tools.book $(SETTINGS) --name "$(or $(NAME),$(error NAME must be given, as in: make chapter NAME=05))")

pdf: $(READY) ## build the site with a PDF of each page and of the whole book; needs Chromium
	$(call timed,$(PY) -m tools.book $(SETTINGS) --pdf)

lighthouse: $(READY) ## measure every page of the site with Lighthouse; the figures go into the page of the run
	$(call timed,$(PY) -m tools.book $(SETTINGS) --lighthouse)

preview: $(READY) ## draw the link preview, the README's picture and those of the diagrams again, from the site; needs Chromium
	$(call timed,$(PY) -m tools.book $(SETTINGS) && $(PY) -m tools.preview)

report: $(READY) ## print every result beside its bounds; fails where one is outside
	$(call timed,$(PY) -m tools.book $(SETTINGS) --report)

lint: $(READY) ## check code style, types and the notebooks' sources
	$(call timed,$(PY) -m ruff check . && $(PY) -m mypy && $(PY) -m tools.lint)

zh: $(READY) ## list what the Chinese lacks, write a skeleton of it into _build/zh, and the notebooks of whole pages: NAME=05
	$(call timed,$(PY) -m tools.zh --name "$(NAME)" --write)

bands: $(READY) ## run every chapter, or NAME=05 alone, for SEEDS="0 1 2 3 4" and publish the bands of its results in results/
	$(call timed,$(PY) -m tools.bands --profile $(PROFILE) --seeds $(SEEDS) --name "$(NAME)")

evidence: $(READY) ## say how long it will take, then run the sweeps that results/evidence lacks; goes on where it was stopped
	$(call timed,$(PY) -m tools.book $(SETTINGS) --evidence)

repo: $(READY) ## write the repository's address and version, and the set-up cell, wherever needed: URL=https://github.com/OWNER/NAME REF=v1.0.0
	$(call timed,$(PY) -m tools.repo $(if $(URL),--url $(URL)) $(if $(REF),--ref $(REF)))

bench: $(READY) ## measure speed and memory against other libraries
	$(call timed,$(PY) -m benchmarks)

mutants: $(READY) ## put classic mistakes into lib one by one; every one must turn a test red
	$(call timed,$(PY) -m tests.mutants)

soak: $(READY) ## stop and kill builds at random moments for ten minutes; what comes next must be right (SECONDS=600)
	$(call timed,$(PY) -m tests.soak --seconds $(SECONDS))

# The release of torch is chosen here. GPU packages that it brings by itself are not pinned: a CPU build fits as well.
lock: ## resolve pyproject.toml afresh into requirements.txt
	$(call timed,rm -rf _build/lock && $(call make_venv,_build/lock) && _build/lock/bin/pip install ".[book$(comma)hub$(comma)peers$(comma)serve$(comma)tasks$(comma)test]" torch==$(TORCH) && \
	_build/lock/bin/pip freeze --all --exclude pip --exclude project-and-regularize | sed 's/+cpu$$//' | grep -viE '^(nvidia|cuda|triton)' > _build/requirements.txt && \
	mv _build/requirements.txt requirements.txt && rm -rf _build/lock)

# What does not hold with these versions, and is left out: the same bits after a reload (the same to rounding), and
# forward-mode derivatives through RandomSubspace (torch 2.5).
oldest: ## try the README's recipes, the training and the language model with the oldest versions that pyproject.toml allows
	$(call timed,rm -rf _build/oldest && $(call make_venv,_build/oldest) && \
	sed -n '/^dependencies/$(comma)/^]/s/.*"\(.*\)>=\(.*\)".*/\1==\2/p' pyproject.toml > _build/oldest.txt && cat _build/oldest.txt && \
	_build/oldest/bin/pip install --quiet --requirement _build/oldest.txt hypothesis pytest pytest-timeout && \
	_build/oldest/bin/python -m pytest tests/test_readme.py $(addprefix tests/lib/test_,$(addsuffix .py,training regularizers language likelihood generation conversations write)))

clean: ## delete everything that was made, but not the installed packages
	$(call timed,mkdir -p _build && find _build -mindepth 1 -maxdepth 1 ! -name "*.lock" -exec rm -rf {} + && \
	rm -rf .mypy_cache .pytest_cache .ruff_cache)

comma := ,

# Sets $$python to the first one of the list that works and is 3.11 to 3.13 (a half-built one lacks modules).
define find_python
for python in $(PYTHON) ""; do $$python -c "import sys, bz2, ctypes, ensurepip, lzma, sqlite3, ssl, venv; \
	sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" 2>/dev/null && break; done; \
	test "$$python" || { echo "PYTHON must be a complete Python 3.11, 3.12 or 3.13, got: $(PYTHON)"; exit 1; }
endef

# $(1): folder
define make_venv
{ $(find_python); echo "using $$($$python --version)"; $$python -m venv --clear $(1); }
endef

# Two first commands side by side: the second waits, looks again and finds everything there. One that was killed on its
# way left no mark behind, and perhaps a Python without pip.
.PHONY: again
again:
NEEDS := requirements.txt pyproject.toml $(if $(wildcard $(PY)),,again)

ifdef ALONE
$(READY): $(NEEDS)
	@$(PY) -c "" 2>/dev/null || $(call make_venv,$(VENV))
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip --upgrade
	@echo "installing into $(VENV); the first time takes some minutes"
	@$(PY) -m pip install --requirement requirements.txt
	@$(PY) -m pip install --quiet --no-deps --editable .
	@touch $@
else
$(READY): $(NEEDS)
	@$(find_python); $$python tools/lock.py _build/install.lock "another command installs into $(VENV); waiting for it" \
	$(MAKE) --no-print-directory ALONE=1 VENV=$(VENV) $@
endif
