"""Whether a launch would go well: everything it rests on is looked at, and nothing is made."""
