#!/usr/bin/env bash
# Linter, formatter, strict types, C++ format and import floors, in one command.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(scripts/setup.sh)
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
find src benchmarks examples tests/gpu tests/kernels tests/honest \( -name '*.cpp' -o -name '*.cu' -o -name '*.h' \) -print0 | xargs -0 "$venv/bin/clang-format" --dry-run --Werror
"$venv/bin/python" -m pytest -q tests/pure/test_floors.py
