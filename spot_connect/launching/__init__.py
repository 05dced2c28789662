"""Find or launch an instance, open its door, and end it."""
