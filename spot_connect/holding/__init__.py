"""The holder: a small process in the background that keeps an instance's SSH line open for the next command."""
