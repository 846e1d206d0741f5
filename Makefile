# make demo: a call on this machine, out/report.html.   make test: linters, types, tests.   Both set up all they need.
.PHONY: demo test lint check-types clean
.DEFAULT_GOAL := demo

AVCALL := .venv/bin/avcall
DEMO ?=

.venv/installed-core: pyproject.toml scripts/setup.sh
	@if [ -e .venv/installed-dev ] && [ .venv/installed-dev -nt pyproject.toml ]; then touch $@; else scripts/setup.sh; fi

.venv/installed-dev: pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev

demo: .venv/installed-core
	$(AVCALL) demo $(if $(DISPLAY)$(WAYLAND_DISPLAY),,--no-window) $(DEMO)

lint: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

check-types: .venv/installed-dev
	.venv/bin/mypy

test: lint check-types
	.venv/bin/python -m pytest

clean:
	rm -rf .venv build out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
