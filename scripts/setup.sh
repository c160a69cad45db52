#!/usr/bin/env bash
# Makes .venv with everything that Assay needs, and prints its path. Safe to run again; does nothing where all is there.
# Needs a Debian machine with Python 3.11 or 3.12; as root it installs the compiler itself.
set -euo pipefail
cd "$(dirname "$0")/.."

need_packages() {
  local missing=()
  command -v g++ >/dev/null || missing+=(g++)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
      echo "missing packages: run 'apt-get install ${missing[*]}' as root, then this again" >&2
      exit 4
    fi
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}" >&2
  fi
}

find_python() {
  for python in python3.11 python3.12 python3; do
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  echo "Assay needs Python 3.11 or 3.12" >&2
  exit 4
}

# Plain "torch" resolves to several gigabytes of CUDA on x86; the +cpu build is asked for by name, first where pip looks
# anyway, then in PyTorch's own index of CPU builds.
install_torch() {
  .venv/bin/python -c 'import torch' 2>/dev/null && return
  .venv/bin/pip install -q "torch==2.13.0+cpu" 2>/dev/null ||
    .venv/bin/pip install -q "torch==2.13.0" --index-url https://download.pytorch.org/whl/cpu
}

need_packages
if [ ! -x .venv/bin/python ]; then
  "$(find_python)" -m venv .venv
fi
stamp=.venv/assay-installed
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  echo "installing into .venv (a few minutes the first time)" >&2
  install_torch >&2
  .venv/bin/pip install -q -e '.[dev]' >&2
  touch "$stamp"
fi
echo .venv
