# Two commands: `make demo` and `make test`. Each sets up what it needs.
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS := never

.PHONY: setup test
setup: .venv/.ready

.venv/.ready: requirements/requirements.lock pyproject.toml
	@command -v uv >/dev/null 2>&1 || test -x .venv/tools/bin/uv || { $(PYTHON) -m venv .venv/tools && .venv/tools/bin/pip -q install uv==$(UV_VERSION); }
	@uv=$$(command -v uv || echo .venv/tools/bin/uv); \
	test -x .venv/bin/python || $$uv venv -q --allow-existing --python $(PYTHON) .venv && \
	$$uv pip sync -q --require-hashes --compile-bytecode --python .venv/bin/python requirements/requirements.lock && \
	$$uv pip install -q --no-deps --no-build-isolation --python .venv/bin/python -e .
	@touch $@

test: setup
	.venv/bin/python -m pytest
