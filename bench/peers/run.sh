#!/usr/bin/env bash
# Runs the peer in an environment of its own, made from its hash-pinned lock the first time.
#
#   bench/peers/run.sh ROWS_DIRECTORY DATABASE_URL
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/.venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
if ! cmp -s "$here/requirements.lock" "$venv/.ready"; then
  rm -rf "$venv"
  "${PYTHON:-python3}" -m venv "$venv" >&2
  "$venv/bin/python" -m pip install -q --require-hashes --no-deps -r "$here/requirements.lock" >&2
  cp "$here/requirements.lock" "$venv/.ready"
fi
export DLT_DATA_DIR=${AIRFLOW_HOME:-/tmp}/dlt RUNTIME__DLTHUB_TELEMETRY=false GX_ANALYTICS_ENABLED=false
exec "$venv/bin/python" "$here/settlement_peer.py" "$@"
