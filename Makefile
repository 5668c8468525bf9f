VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup dev training models demo serve web protos build format lint types page-types test sanitize portable stubs-fresh go bench check clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What the main job needs: client, server, extension, models.
setup: $(VENV)/.setup models
$(VENV)/.setup: $(BIN)/python pyproject.toml client/python/pyproject.toml constraints.txt setup.py $(wildcard ext/*.pyx ext/*.h ext/*.pxi)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable client/python --editable .
	touch $@

# What the checks need besides.
dev: $(VENV)/.dev models
$(VENV)/.dev: $(VENV)/.setup
	$(BIN)/pip install --quiet --constraint constraints.txt --editable client/python --editable '.[dev]'
	touch $@

# What training and compressing recognisers need besides, PyTorch above all. Without it their tests are skipped.
training: $(VENV)/.training
$(VENV)/.training: $(VENV)/.dev $(wildcard training/teachers/*.toml) | models
	$(BIN)/pip install --quiet --constraint constraints.txt --editable client/python --editable '.[dev,compression]'
	$(BIN)/glyphwire models setup --recipes training/teachers --models-dir build/training/teachers
	$(BIN)/python -m training.start
	touch $@

models: $(VENV)/.setup
	$(BIN)/glyphwire models setup

# Clone to first text: start the server, send the sample page through the client, print lines and timings, stop.
demo: setup
	$(BIN)/glyphwire demo

serve: setup
	$(BIN)/glyphwire serve

# Clone to web page: a server, the gateway and your browser.
web: $(VENV)/.web models
	$(BIN)/glyphwire web
$(VENV)/.web: $(VENV)/.setup
	$(BIN)/pip install --quiet --constraint constraints.txt --editable client/python --editable '.[gateway]'
	touch $@

protos: $(VENV)/.dev
	python -m grpc_tools.protoc --proto_path=protos --python_out=client/python --grpc_python_out=client/python \
		--mypy_out=quiet:client/python --mypy_grpc_out=quiet:client/python $(wildcard protos/glyphwire/v1/*.proto)
	python -m grpc_tools.protoc --proto_path=server/stubs=protos/inference --python_out=. --grpc_python_out=. \
		--mypy_out=quiet:. --mypy_grpc_out=quiet:. server/stubs/open_inference.proto
	$(MAKE) --no-print-directory --directory=client/go stubs

build: dev
	python setup.py --quiet build_ext --inplace $(if $(ANNOTATE),--force)

format: dev
	ruff format .
	clang-format -i ext/*.h
	ruff check --fix .

lint: dev
	ruff format --check .
	clang-format --dry-run --Werror ext/*.h
	ruff check .
	lint-imports
	buf lint
	buf format --diff --exit-code

types: training
	mypy
	mypy bench
	mypy training

# The modules of the web page, with the types in their comments. TypeScript comes from npm, in the version of the lock file.
page-types:
ifeq ($(shell which npm 2>/dev/null),)
	@echo "Web page: its types are not checked, there is no npm here"
else
	npm --prefix gateway ci --silent --ignore-scripts --no-audit --no-fund
	gateway/node_modules/.bin/tsc --project gateway
endif

test: dev
	pytest

# The kernels once more in a folder of their own, built as an environment variable says: $(call build_apart,folder,variable)
define build_apart
	rm -rf $(1) && mkdir -p $(1) && cp -r ext $(1)/ext && rm -f $(1)/ext/*.so
	$(2)=1 python setup.py --quiet build_ext --force --build-temp $(1)/temp --build-lib $(1)
endef

# The kernels' tests with every read, write and overflow checked. Python itself leaks by design.
sanitize: dev
	$(call build_apart,build/sanitized,GLYPHWIRE_SANITIZE)
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
		pytest -q -o pythonpath=build/sanitized tests/ext -k "not reference"

# The kernels' tests with the code for processors that are not known, and for those with AVX2 and no longer vectors, which
# no other test of this machine may run.
portable: dev
	$(call build_apart,build/portable,GLYPHWIRE_PORTABLE)
	pytest -q -o pythonpath=build/portable tests/ext -k "not reference"
	$(call build_apart,build/avx2,GLYPHWIRE_AVX2)
	pytest -q -o pythonpath=build/avx2 tests/ext -k "not reference"

# Regenerated stubs must be the committed ones.
stubs-fresh: protos
	git diff --exit-code --stat -- client/python/glyphwire/v1 client/go/glyphwire/v1 server/stubs

# The Go client's own checks, where there is Go.
go:
	$(MAKE) --no-print-directory --directory=client/go check

# Speed and memory claims; each prints a table. EVAL: a folder of labelled sets.
bench: $(if $(EVAL),training,dev)
	python -m bench.ctc
	python -m bench.memory
	python -m bench.faults
	python -m bench.serving
	python -m bench.streams
	python -m bench.call_frame
	python -m bench.gateway
	python -m bench.documents
	$(if $(EVAL),python -m bench.plain_onnx $(EVAL))
	$(if $(EVAL),python -m bench.preparation $(EVAL))

# All that must hold, in the order in which it fails fastest.
check: training lint types page-types stubs-fresh go test sanitize portable

clean:
	rm -rf $(VENV) build *.egg-info client/python/*.egg-info gateway/node_modules ext/*.so ext/*.c models/ppocr*/
