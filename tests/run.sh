#!/usr/bin/env bash
# Make a virtual environment with everything the tests need, and run them, three files at a time, because most of them
# wait for machines to boot and processes to end. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${SPOT_CONNECT_TEST_VENV:-.venv-test}
if [ ! -x "$venv/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[test]'
exec "$venv/bin/python" -m pytest -n "${SPOT_CONNECT_TEST_WORKERS:-3}" --dist loadfile "$@"
