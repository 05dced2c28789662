#!/usr/bin/env bash
# Install spot-connect into .venv and run its main job on the local cloud: launch an instance, upload a script and
# data, run it, show the result, fetch a file, and leave a prompt on the instance. No AWS account is needed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check '.[local]'

export SPOT_CONNECT_LOCAL=1
spot_connect=.venv/bin/spot_connect

"$spot_connect" local up
"$spot_connect" -n quickstart -p t3.micro -u spot_connect/data/spot_instance_pricing.csv -r work
"$spot_connect" -n quickstart -s examples/quickstart/cheapest.sh
"$spot_connect" list
echo
echo "You are about to stand in a shell on the instance. Leave it with 'exit'; then"
echo "  $spot_connect --local quickstart              brings you back"
echo "  $spot_connect --local terminate quickstart    ends the instance"
echo "  $spot_connect local down                      stops the local cloud"
exec "$spot_connect" quickstart
