#!/usr/bin/env bash
# Make a virtual environment with everything the tests need, and run them. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${SPOT_CONNECT_TEST_VENV:-.venv-test}
if [ ! -x "$venv/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[test]'
exec "$venv/bin/python" -m pytest "$@"
