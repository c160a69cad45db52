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

if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null || ! install_postgresql >&2; then
    echo "no PostgreSQL server: its tests are skipped ('apt-get install postgresql' as root brings them back)" >&2
  fi
fi
venv=$(scripts/setup.sh)
exec "$venv/bin/python" -m pytest "$@"
