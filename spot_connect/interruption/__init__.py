"""What runs on the instance: runs that outlive their caller, and the two minutes before an interruption.

Everything here needs the standard library of Python 3.7 alone. ``spot_connect`` sends it to an instance as one file
and puts it on the path of what it runs there, so that a script can say, without installing anything::

    from spot_connect.interruption import notice, until_notice

    for epoch in until_notice(range(first, 100)):
        train(epoch)
    if notice():
        save()
"""

from __future__ import annotations

from spot_connect.interruption.notice import notice, until_notice

__all__ = ["notice", "until_notice"]
