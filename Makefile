# make demo: set up and animate a portrait.  make test: set up and run all tests.  make setup: only make .venv.
# make docker: the images gdpw-pipe:cpu and gdpw-pipe:cuda, or one of them with TARGET=cpu.
PYTHON ?= python3
BIN := .venv/bin
TARGET ?= cpu cuda

.PHONY: setup demo test docker clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) jobs/system_libraries.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/gdpw-pipe demo

# One thread a test process: the tests are many and small, and threads of several processes only wait for each other.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile $(TESTS)

docker:
	for target in $(TARGET); do docker build --target $$target --tag gdpw-pipe:$$target . || exit; done

clean:
	rm -rf .venv demo build dist *.egg-info
