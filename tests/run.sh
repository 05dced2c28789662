#!/usr/bin/env bash
# Make a virtual environment with everything the tests need, and run them, three files at a time, because most of them
# wait for machines to boot and processes to end. With --fast: the unit tests and one journey. Other arguments go to
# pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${SPOT_CONNECT_TEST_VENV:-.venv-test}
if [ ! -x "$venv/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
fi
# What is installed hangs on these files alone: the package itself is used where it lies.
wanted=$(cat setup.py pyproject.toml | cksum)
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[test]'
    echo "$wanted" >"$venv/installed"
fi
ring=()
if [ "${1:-}" = --fast ]; then
    shift
    ring=(tests/unit tests/journeys/test_one_liner.py)
fi
exec "$venv/bin/python" -m pytest -n "${SPOT_CONNECT_TEST_WORKERS:-3}" --dist loadfile "${ring[@]}" "$@"
