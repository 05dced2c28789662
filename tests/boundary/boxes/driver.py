"""A daemon in miniature: a supervisor told what to do by lines of JSON. A program, so that a test can be any user.

Answers on standard output: one line per request, in order of completion, and one per event.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from spot_connect.core.errors import SpotConnectError
from spot_connect.local.boxes.levels import Level
from spot_connect.local.boxes.supervisor import BoxSpec, Supervisor, probe_levels

_output = threading.Lock()


def say(**line):
    with _output:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def event(name):
    return lambda instance_id: say(event=name, instance_id=instance_id)


def answer(supervisor, request):
    number, what = request["number"], request["do"]
    try:
        if what == "start":
            spec = request["spec"] | {"user_data": request["spec"].get("user_data", "").encode()}
            spec["authorized_keys"] = tuple(spec["authorized_keys"])
            result = asdict(supervisor.start(BoxSpec(**spec)))
        elif what == "about":
            result = {
                "level": supervisor.level.value,
                "description": supervisor.description,
                "zygote": supervisor._zygote.pid,
                "place": str(supervisor._place),
                "file_systems": str(supervisor.file_systems.root),
            }
        elif what == "mount":
            source = supervisor.file_systems.directory(request["file_system"]) / request["sub"]
            result = supervisor.mount(request["instance_id"], source, request["target"])
        elif what == "unmount":
            result = supervisor.unmount(request["instance_id"], request["target"], lazy=request["lazy"])
        elif what == "mounts":
            result = sorted(supervisor.mounts(request["instance_id"]))
        else:
            result = getattr(supervisor, what)(request["instance_id"])
    except SpotConnectError as error:
        say(number=number, refused=str(error))
    else:
        say(number=number, result=result)


def main():
    if sys.argv[1] == "probe":
        say(**{probe.level.value: probe.reason for probe in probe_levels()})
        return
    level = Level(sys.argv[2]) if sys.argv[2] else None
    root = Path(sys.argv[1])
    supervisor = Supervisor(root, level=level, on_running=event("running"), on_ended=event("ended"))
    with ThreadPoolExecutor(8) as pool:
        for line in sys.stdin:
            pool.submit(answer, supervisor, json.loads(line))
    supervisor.close()


if __name__ == "__main__":
    main()
