#!/usr/bin/env bash
# Makes an environment from its hash-pinned lock, once; does nothing, in a moment, where it is there already.
#
#   requirements/setup.sh run     .venv: everything that make demo and make test need
#   requirements/setup.sh lint    .venv-lint: sqlfluff, which needs an older click than Airflow
#
# Needs Python 3.11 to 3.13 and git; uv is brought in through a venv where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1

case ${1:-run} in
  run) venv=.venv lock=requirements/requirements.lock ;;
  lint) venv=.venv-lint lock=requirements/lint.lock ;;
  *) echo "usage: requirements/setup.sh [run|lint]" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$*"; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# what the environment was made from, and for which place: a moved clone needs a new one
wanted() { pwd; cat "$lock" pyproject.toml; }
if [[ -f $venv/.ready ]] && wanted | cmp -s - "$venv/.ready" && "$venv/bin/python" -c '' 2>/dev/null; then
  exit 0
fi

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
python=""
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null 2>&1 && fits "$candidate"; then python=$(command -v "$candidate"); break; fi
done
if [[ -z $python ]]; then
  found=$("${PYTHON:-python3}" --version 2>/dev/null || echo "no python3")
  stop "needs Python 3.11, 3.12 or 3.13, found $found. Install one (Debian, Ubuntu: apt install python3.12 python3.12-venv; macOS: brew install python@3.12) or name it: make setup PYTHON=/path/to/python"
fi

uv=$(command -v uv || true)
if [[ -z $uv ]]; then
  tools=.venv-tools
  uv=$tools/bin/uv
  if ! "$uv" --version >/dev/null 2>&1; then
    rm -rf "$tools"
    if ! "$python" -m venv "$tools" >/dev/null 2>&1; then
      rm -rf "$tools"
      version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
      stop "$python cannot make a venv. Install its venv module (Debian, Ubuntu: apt install python$version-venv), or uv"
    fi
    say "bringing in uv"
    "$tools/bin/python" -m pip install -q --require-hashes --no-deps --only-binary :all: -r requirements/uv.lock
  fi
fi

SECONDS=0
say "$(grep -cE '^[a-z0-9._-]+(\[.*\])?==' "$lock") packages into $venv, once (half a minute; longer where they must be downloaded)"
"$venv/bin/python" -c '' 2>/dev/null || "$uv" venv -q --clear --python "$python" "$venv"
rm -f "$venv/.ready"
if [[ -t 1 ]]; then
  (while sleep 1; do printf '\rsetup: %d s ' "$SECONDS"; done) & ticker=$!
  trap 'kill $ticker 2>/dev/null || true; printf "\r"' EXIT
fi
"$uv" pip sync -q --require-hashes --compile-bytecode --python "$venv/bin/python" "$lock"
if [[ $venv == .venv ]]; then
  "$uv" pip install -q --no-deps --no-build-isolation --python "$venv/bin/python" -e .
fi
wanted >"$venv/.ready"
say "done in $SECONDS s"
