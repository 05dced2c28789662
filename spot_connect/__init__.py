"""Launch, reach and use AWS EC2 spot instances by name.

The public modules are :mod:`spot_connect.spotted`, :mod:`spot_connect.sutils` and the
console script ``spot_connect``. Nothing heavy is imported here, so that ``--help`` is quick.
"""

__version__ = "2.0.0.dev0"
