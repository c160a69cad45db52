#!/usr/bin/env bash
# Sets up and runs the tests: the default lane, or what is named (scripts/test.sh -m slow).
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(scripts/setup.sh)
exec "$venv/bin/python" -m pytest "$@"
