"""What spot-connect costs beside the tools it stands next to: ``python -m benchmarks``."""
