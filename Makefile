# Each target makes its own virtual environment (.venv) if none is active.

ifdef VIRTUAL_ENV
BIN := $(VIRTUAL_ENV)/bin
else
BIN := .venv/bin
endif
INSTALLED := $(BIN)/.dsi-installed
READY := $(BIN)/.dsi-ready
DOCS_READY := $(BIN)/.dsi-docs-ready

.PHONY: demo test test-shared coverage test-all test-oldest release-check check format docs figures findings bench bench-heads bench-statistics bench-phases bench-seeds bench-senses bench-suspects bench-imagenet imagenet fuzz clean bench-inputs

demo: $(INSTALLED)  ## the main job on the runs that ship with the package
	$(BIN)/dsi demo

test: $(READY)  ## tests, doctests and the examples of the docs, in one worker process per core
	env -u DSI_SHARED $(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

test-shared: $(READY)  ## the tests that need data outside the repository: DSI_SHARED=/path/to/shared make test-shared
	@test -d "$(DSI_SHARED)" || { echo "DSI_SHARED names no folder: '$(DSI_SHARED)'. Give the folder of shared data: DSI_SHARED=/path/to/shared make test-shared"; exit 2; }
	DSI_SHARED="$(abspath $(DSI_SHARED))" $(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile tests/shared_data

coverage: $(READY)  ## the same in one process, which lines they reach; takes twice as long
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -m "not slow"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

test-all: $(READY)  ## the tests that make test leaves out since they take long; TESTS chooses files
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile $(TESTS)

test-oldest:  ## what needs no images, with the oldest allowed dependencies, in a virtual environment of its own
	test -x .venv-oldest/bin/python || python3 -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet packaging
	.venv-oldest/bin/python scripts/oldest.py > .venv-oldest/oldest.txt
	.venv-oldest/bin/python -m pip install --no-compile --quiet --constraint .venv-oldest/oldest.txt --editable . $(OLDEST_TOOLS)
	.venv-oldest/bin/python -m pip check
	.venv-oldest/bin/python -m pytest -m "not slow" -n auto --dist loadfile $(OLDEST_TESTS) $(OLDEST_LACKS)

PYTHONS ?= python3

release-check: $(READY)  ## two equal builds; the wheel, pip check, the demo and README in a clean environment of each of PYTHONS
	@for python in $(PYTHONS); do \
		echo "Release check with $$python"; \
		RELEASE_PYTHON=$$python $(BIN)/python -m pytest tests/test_packaging.py || exit 1; \
	done

check: $(READY)  ## lint, format, types, import contracts, complexity, size, docstrings, prose
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/xenon --max-absolute C dsi_cli
	$(BIN)/python scripts/check_size.py dsi_cli
	$(BIN)/python scripts/check_docstrings.py dsi_cli
	$(BIN)/python scripts/check_prose.py README.md CONTRIBUTING.md docs

format: $(READY)
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

docs: $(DOCS_READY)  ## the documentation site, in site/
	$(BIN)/python -m mkdocs build --strict

figures: $(READY)  ## the pictures of README and docs, from the demo's runs and those with planted faults
	$(BIN)/dsi demo --quiet --out dsi-demo
	$(BIN)/dsi analyze examples/planted/faulty --map examples/planted/faulty.csv --quiet --out dsi-planted
	$(BIN)/python docs/make_figures.py dsi-demo dsi-planted

findings: $(READY)  ## docs/findings.md: which of the paper's findings the demo's run shows
	$(BIN)/dsi demo --quiet --out dsi-demo
	$(BIN)/python docs/make_findings.py dsi-demo

imagenet: $(READY)  ## docs/imagenet.md: what dsi finds in the classifier of an ImageNet network
	$(BIN)/dsi analyze examples/imagenet --labels imagenet1k --quiet --out dsi-imagenet
	PYTHONPATH=. $(BIN)/python docs/make_imagenet.py dsi-imagenet

bench: $(READY)  ## ours beside what a user would do otherwise; writes benchmarks/results/performance.md
	$(BIN)/python -m benchmarks

bench-heads: $(READY)  ## which classifier is taken out of every model of timm and torchvision; writes benchmarks/results/heads.md
	$(BIN)/python -m benchmarks.head_choice

bench-senses: $(READY)  ## how often the right sense of a label is chosen; writes benchmarks/results/senses.md
	$(BIN)/python -m benchmarks.senses

bench-statistics: $(READY)  ## how often intervals hold; needs DSI_SHARED; writes benchmarks/results/statistics.md
	$(BIN)/python -m benchmarks.statistics

bench-suspects: $(READY)  ## how well suspects are found; needs DSI_SHARED; writes benchmarks/results/suspects.md
	$(BIN)/python -m benchmarks.suspects

bench-imagenet: $(READY)  ## where known faults of ImageNet rank among all pairs; writes benchmarks/results/imagenet.md
	$(BIN)/python -m benchmarks.imagenet_faults
bench-inputs: $(READY)  ## how often inputs in another order are noticed; needs DSI_SHARED; writes benchmarks/results/input_agreement.md
	$(BIN)/python -m benchmarks.input_agreement

bench-phases: $(READY)  ## how often phases are claimed and their intervals hold, on simulated curves; writes benchmarks/results/phases.md
	$(BIN)/python -m benchmarks.phases

bench-seeds: $(READY)  ## how often intervals over seeds, classes and clusters hold, on simulated networks; writes benchmarks/results/seeds.md
	$(BIN)/python -m benchmarks.seeds

OLDEST_TOOLS := pytest pytest-xdist h5py hypothesis safetensors scikit-image scikit-learn tensorboard
# What calls the dependencies; engines, signals, watching and the page in a browser depend on none of their versions.
OLDEST_CLI := analyze completion console output plot usage_errors
OLDEST_TESTS := $(addprefix tests/, figures labels metrics predictions queries report store test_api.py test_similarity.py wordnet) dsi_cli
OLDEST_TESTS += tests/analysis/option_groups tests/analysis/test_references.py $(OLDEST_CLI:%=tests/cli/test_%.py)
# The doctests of the package want every module; these want an extra, which the oldest set does not have.
OLDEST_LACKS := $(addprefix --ignore=dsi_cli/, callbacks/huggingface.py callbacks/lightning.py checkpoints/child_process/onnx_model.py)
OLDEST_LACKS += $(addprefix --ignore=tests/report/test_, page.py comparison_page.py notebook_card.py)

INPUTS ?= 20000
SEED ?= 1

fuzz: $(READY)  ## mutated real files against the reader; INPUTS and SEED choose how many and which
	$(BIN)/python -m fuzz --inputs $(INPUTS) --seed $(SEED)

clean:
	rm -rf .venv .venv-oldest site .mypy_cache .ruff_cache .pytest_cache

# Without --no-compile, pip compiles every file of torch and others, and takes twice as long.
$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || python3 -m venv .venv
	@echo "Installing dsi in $(BIN): this takes some minutes the first time."
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --no-compile --editable .
	touch $@

$(READY): $(INSTALLED)
	@echo "Installing the tools of development in $(BIN): this takes some minutes the first time."
	$(BIN)/python -m pip install --no-compile --editable . --group dev
	touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --no-compile --quiet --group docs
	touch $@
