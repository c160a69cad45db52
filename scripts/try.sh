#!/usr/bin/env bash
# Sets up and judges the shipped softmax kernel against PyTorch: a verdict, a certificate and a page in runs/.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(scripts/setup.sh)
exec "$venv/bin/assay" judge softmax examples/softmax.cpp "$@"
