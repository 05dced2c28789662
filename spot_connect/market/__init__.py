"""What machines cost: prices now and over time, types that fit, profiles brought up to date."""
