#!/bin/sh
# The AWS CLI of the daemon's Python, else the system's.
if [ -x "$SPOT_CONNECT_PYTHON" ] &&
    "$SPOT_CONNECT_PYTHON" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("awscli") is None)' 2>/dev/null; then
    exec "$SPOT_CONNECT_PYTHON" -m awscli "$@"
fi
rest=$PATH:
while [ -n "$rest" ]; do
    folder=${rest%%:*}
    rest=${rest#*:}
    if [ -n "$folder" ] && [ "$folder" != "$SPOT_CONNECT_SHIMS" ] && [ -x "$folder/aws" ]; then
        exec "$folder/aws" "$@"
    fi
done
echo "aws: this instance of the local cloud has no AWS CLI; install it beside spot-connect: pip install awscli" >&2
exit 127
