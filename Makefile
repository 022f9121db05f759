# make test    make .venv, install, run the whole suite, two files at a time
# make demo    the three tracks on the bundled sample: train, evaluate, predict, zips, one table of scores
# make check   lint, types
# make crash   200 trainings killed at points of their writing and at random moments, each gone on with to the same end
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: test demo check crash install clean

test: $(STAMP)
	LIC_THREADS=$${LIC_THREADS:-1} $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

demo: $(STAMP)
	$(BIN)/lic demo --strict

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

crash: $(STAMP)
	LIC_CRASH_ROUNDS=200 $(BIN)/python -m pytest tests/crash

install: $(STAMP)

$(STAMP): pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints-cpu.txt --editable ".[cpu,dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
