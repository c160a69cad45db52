#!/usr/bin/env bash
# Sets up and runs the tests: the default lane, or what is named (scripts/test.sh -m slow).
set -euo pipefail
cd "$(dirname "$0")/.."

# The archive's tests start a PostgreSQL server of their own in a temporary folder and need its programs only. Debian's
# package would make a cluster and start it as a service; createcluster.conf, which comes first, says not to.
install_postgresql() {
  local settings=/etc/postgresql-common/createcluster.conf
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q &&
    apt-get install -y -q --no-install-recommends postgresql-common &&
    sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' "$settings" &&
    grep -q '^create_main_cluster = false' "$settings" &&
    apt-get install -y -q --no-install-recommends postgresql
}

# Exported programs are run on emulated processors: 600 MB of compilers and emulators, without which their tests skip.
install_emulators() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q &&
    apt-get install -y -q --no-install-recommends gcc-arm-none-eabi qemu-system-arm gcc-avr avr-libc simavr
}

if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null || ! install_postgresql >&2; then
    echo "no PostgreSQL server: its tests are skipped ('apt-get install postgresql' as root brings them back)" >&2
  fi
fi
if ! command -v arm-none-eabi-gcc >/dev/null || ! command -v simavr >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null || ! install_emulators >&2; then
    echo "no emulators of small processors: their tests are skipped (docs/export.md names the packages)" >&2
  fi
fi
venv=$(scripts/setup.sh)
if [ $# -gt 0 ]; then
  exec "$venv/bin/python" -m pytest "$@"
fi

# Tests that time nothing share the cores, one thread each; those that judge speed come after them, alone.
together=(checkpoints compress datasets export gpu life moe pruning pure sparse tickets)
OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest -n "$(nproc)" --dist worksteal "${together[@]/#/tests/}"
exec "$venv/bin/python" -m pytest "${together[@]/#/--ignore=tests/}"
