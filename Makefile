# What a person runs. Everything else is `./rsdfm --help`.
PYTHON ?= python3
PYTEST_OPTIONS ?=
BIN := .venv/bin

.PHONY: help setup setup-view test fuzz soak lint docs bench bench-accuracy demo clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

setup:           ## make .venv, install the pinned requirements, build the messages (again: nothing to do, at once)
	@$(PYTHON) -c "" 2>/dev/null || { echo "error: $(PYTHON) is not installed: install Python 3.10 to 3.13" >&2; exit 2; }
	@$(PYTHON) scripts/bootstrap.py $(if $(filter file,$(origin PYTHON)),,$(PYTHON))

setup-view: setup ## also install the rerun viewer for `rsdfm view` (about 230 MB)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check -c requirements/constraints.txt -r requirements/view.txt

test: setup      ## every test: unit and fuzz, integration over real DDS, launch_testing where it is installed
	@scripts/with_ros $(BIN)/python -m pytest -q --durations=10 $(PYTEST_OPTIONS) $(wildcard test/unit test/fuzz test/integration test/launch)

fuzz: setup      ## a million mutated packets and ten thousand damaged bags (OPTIONS="--count N --first N --bags N --seed N")
	@scripts/with_ros $(BIN)/python scripts/fuzz.py $(OPTIONS)

soak: setup      ## a fleet killed, stopped, disturbed and attacked for 10 minutes (OPTIONS="--minutes 60", "--lifecycle 200")
	@scripts/with_ros $(BIN)/python -m benchmarks.soak $(OPTIONS)

lint: setup      ## style, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=src $(BIN)/lint-imports

docs: setup      ## write the pages about messages, topics, parameters and fleets, and config/nodes/, from the code
	@scripts/with_ros $(BIN)/python scripts/message_docs.py
	@scripts/with_ros $(BIN)/python scripts/fleet_docs.py
	@scripts/with_ros $(BIN)/python scripts/node_docs.py
	@scripts/with_ros $(BIN)/python scripts/parameter_files.py

bench: setup     ## speed on this machine, into docs/performance.md; resumable (ONLY=section, QUICK=1, AGAIN=1, OPTIONS=…)
	@scripts/with_ros $(BIN)/python -m benchmarks.performance $(addprefix --only ,$(ONLY)) $(if $(QUICK),--quick) $(if $(AGAIN),--again) $(OPTIONS)

bench-accuracy: setup ## every table and figure of docs/benchmarks.md, attacks; resumable (ONLY=section, QUICK=1, OPTIONS=…)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check -c requirements/constraints.txt -r requirements/bench.txt
	@scripts/with_ros $(BIN)/python -m benchmarks.accuracy $(addprefix --only ,$(ONLY)) $(addprefix --scenes ,$(SCENES)) $(if $(QUICK),--quick) $(OPTIONS)

demo: setup      ## the main job: four simulated UAVs over real DDS; results in out/demo/
	@./rsdfm demo

clean:           ## remove everything that make setup built, and caches (out/ stays)
	rm -rf .venv build install log .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
