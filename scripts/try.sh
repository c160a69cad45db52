#!/usr/bin/env bash
# Sets up and makes the shipped block of a mobile network faster: a certificate, a page, and the model before and after.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(scripts/setup.sh)
exec "$venv/bin/assay" optimize examples/mobile_block.py:MobileBlock --budget 2m "$@"
