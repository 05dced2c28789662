"""What reaches a person's screen; the only place that prints."""
