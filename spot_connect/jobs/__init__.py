"""Distributed jobs, seen from the caller's side."""
