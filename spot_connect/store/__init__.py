"""Files on this machine; the only place that writes them."""
