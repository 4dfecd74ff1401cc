# Each goal makes its own virtual environment first; Python is all that a fresh machine needs.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo values policies estimators kl objectives alignment contrastive inference search \
        scaling harvest network book book-pdf figures lint test test-fast test-without-extras \
        test-order test-seeds gradients coverage benchmarks mutation clean

demo: .venv/installed
	$(BIN)/python -m minirl

values: .venv/installed
	$(BIN)/python -m minirl values

policies: .venv/installed
	$(BIN)/python -m minirl policies

estimators: .venv/installed
	$(BIN)/python -m minirl estimators

kl: .venv/installed
	$(BIN)/python -m minirl kl

objectives: .venv/installed
	$(BIN)/python -m minirl objectives

alignment: .venv/installed
	$(BIN)/python -m minirl alignment

contrastive: .venv/installed
	$(BIN)/python -m minirl contrastive

inference: .venv/installed
	$(BIN)/python -m minirl inference

search: .venv/installed
	$(BIN)/python -m minirl search

scaling: .venv/installed
	$(BIN)/python -m minirl scaling

harvest: .venv/installed
	$(BIN)/python -m minirl harvest

network: .venv/installed
	$(BIN)/python -m minirl network

# The chapters as pages: open build/book/index.html.
book: .venv/installed
	$(BIN)/python -m sphinx -q -W -n docs build/book
	@echo "Open build/book/index.html."

# The same on paper, where a Chromium is installed.
CHROMIUM ?= chromium
book-pdf: .venv/installed
	$(BIN)/python -m sphinx -q -W -n -b singlehtml docs build/single
	$(CHROMIUM) --headless --no-sandbox --no-pdf-header-footer --print-to-pdf=build/book.pdf \
	    build/single/index.html

# All pictures of the book, from their seeds.
figures: .venv/installed
	$(BIN)/python -m minirl figures --plot docs/figures

# What reads the code without running it; pyproject.toml says which rules are left out, and why.
lint: .venv/installed
	$(BIN)/python -m ruff check

# All tests.  Those marked `slow`, which train for the figures of a chapter or build the pages, are
# left out by default.
ALL = -m "slow or not slow"

# The files of tests are shared out among so many workers.
WORKERS ?= 2
SHARED = -n $(WORKERS) --dist loadfile

test: .venv/installed
	$(BIN)/python -m pytest -q $(SHARED) $(ALL)

test-fast: .venv/installed
	$(BIN)/python -m pytest -q $(SHARED)

# NumPy, SciPy and pytest alone: what needs an extra is skipped, or says what to install.  That each
# mistake of the exercises is caught by a test, `make test` says; extras have no part in it.
test-without-extras: .venv-without-extras/installed
	.venv-without-extras/bin/python -m pytest -q $(SHARED) $(ALL) \
	    --deselect tests/test_exercises.py::test_the_tests_of_the_book_catch_every_mistake

# In random order, twice, and backwards.
test-order: .venv/installed
	$(BIN)/python -m pytest -q --order 1
	$(BIN)/python -m pytest -q --order 2
	$(BIN)/python -m pytest -q --order backwards

# What draws random numbers and holds for any seed, with a hundred seeds.
test-seeds: .venv/installed
	$(BIN)/python -m pytest -q -m statistical --seeds 100

gradients: .venv/installed
	$(BIN)/python -m pytest -q -m gradient

# Every line and every branch of the packages is run by a test, or says in the source why not.
coverage: .venv/installed
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q $(SHARED) $(ALL)
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

# 200 runs that keep checkpoints, killed at random moments, and what becomes of them.
.PHONY: kills
kills: .venv/installed
	$(BIN)/python tests/kills.py 200

benchmarks: .venv/installed
	$(BIN)/python -m benchmarks

# A hundred thousand damaged files for every reader of files: minutes.
.PHONY: fuzz
fuzz: .venv/installed
	$(BIN)/python -m tests.fuzz

# Would a test notice?  A hundred small mistakes in the packages, one at a time: docs/mutation.md.
mutation: .venv/installed
	PYTHONPATH=tests $(BIN)/python -m mutation

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --editable ".[test,plot,gym,book,lint,coverage,package]"
	touch $@

.venv-without-extras/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-without-extras
	.venv-without-extras/bin/python -m pip install --quiet --disable-pip-version-check \
	    --editable ".[test]"
	touch $@

clean:
	rm -rf .venv .venv-without-extras build dist *.egg-info
