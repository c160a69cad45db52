#!/usr/bin/env bash
# All that needs an NVIDIA GPU, in one command: the tests, then the benchmarks, whose results go to docs/data.
#   scripts/gpu.sh [python]     the interpreter has PyTorch's CUDA build, Triton and pytest; default: python3
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L | grep -q GPU; then
  echo "there is no NVIDIA GPU here" >&2
  exit 4
fi
"$python" -c 'import torch, triton; assert torch.cuda.is_available(), "this PyTorch has no CUDA"'
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
"$python" -m pytest tests/gpu -m "slow or not slow"
"$python" -m benchmarks.gpu.sparse
"$python" -m benchmarks.engineer --device cuda --budget 2m --json docs/data/gpu-engineer.json --resume
