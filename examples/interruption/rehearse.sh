#!/usr/bin/env bash
# Play two interruptions on the local cloud, once while somebody watches and once while nobody does: a script counts, AWS
# takes its machine away, another machine goes on counting, and no number is lost or counted twice.
# It needs no AWS account, only: pip install 'spot-connect[local]'
set -euo pipefail
cd "$(dirname "$0")"
export SPOT_CONNECT_LOCAL=1
log=$(mktemp)
trap 'rm -f "$log"; spot_connect terminate rehearsal 2>/dev/null || true' EXIT

say() { printf '\n== %s\n' "$*"; }
hook='echo "the hook ran, with $SPOT_CONNECT_SECONDS_LEFT seconds left" > ~/efs/hook.txt'

# Begin to count, on a machine whose files outlive it.
begin() { spot_connect -n rehearsal -p t3.micro -f rehearsal -s count.py --detach True "$@"; }

# Wait until the run has printed the number.
has_counted_to() {
    for _ in $(seq 100); do
        if spot_connect logs rehearsal "$1" 2>/dev/null | grep -x "$2" > "$log"; then return; fi
        sleep 1
    done
    return 1
}

check() {
    spot_connect logs rehearsal "$1" 2>/dev/null | grep -x '[0-9]*' > "$log"
    seq 150 | cmp - "$log"
    say "$1: every number from 1 to 150 once"
}

say "The machine is taken away while somebody watches"
spot_connect local up
first=$(begin --resume True --on-interrupt "$hook")
(has_counted_to "$first" 30 && spot_connect local interrupt rehearsal --in 20) &
spot_connect logs rehearsal "$first" -f
wait
check "$first"
spot_connect rehearsal <<< 'cat ~/efs/hook.txt'

say "The machine is taken away while nobody watches"
second=$(begin)
has_counted_to "$second" 30
spot_connect local interrupt rehearsal --in 8
while spot_connect list --json 2>/dev/null | grep -q '"name": "rehearsal"'; do sleep 1; done
spot_connect rehearsal < /dev/null || echo "status $?"
say "Later somebody goes on with it"
spot_connect resume rehearsal
check "$second"

say "What is known of the runs"
spot_connect runs rehearsal
