"""Many jobs on a few spot instances of the local cloud, one of which is taken away while they run.

python examples/jobs.py    # needs neither AWS nor the internet: pip install 'spot-connect[local,jobs]'
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from spot_connect.core.waiting import SYSTEM_CLOCK
from spot_connect.instance_manager import InstanceManager
from spot_connect.local import service

# Counts to 50, and begins where an interruption has stopped it.
SCRIPT = """
cd $SPOT_CONNECT_CHECKPOINT_DIR
n=$(cat n 2>/dev/null || echo 0)
trap 'echo $n > n.new; mv n.new n; exit 75' TERM
while [ $n -lt 50 ]; do
    sleep 0.2
    n=$((n + 1))
    echo $n >> $SPOT_CONNECT_OUT_DIR/steps
done
"""


def main() -> None:
    """Run six jobs on two instances, interrupt one, and look at what has come of it."""
    manager = InstanceManager(local=True)
    run = manager.run_distributed_jobs("example", 6, SCRIPT, "t3.micro", "example-files", n_instances=2, linger=30)
    while not (busy := [job.instance for job in run.record().jobs if job.state == "running"]):
        SYSTEM_CLOCK.sleep(0.5)
    service.call(None, "POST", f"instances/{busy[0]}/interrupt", {"in": 10})
    record = run.stay()
    with TemporaryDirectory() as place:
        steps = [(path / "steps").read_text().split() for path in run.results(Path(place))]
    print(record.summary)
    print("each step once:", steps == [[str(number) for number in range(1, 51)]] * 6)
    run.close()


if __name__ == "__main__":
    main()
