"""The local cloud: AWS and its machines, rehearsed on this computer."""
