"""What can be decided without a network, a clock or a disk."""
