"""Runs that outlive their caller, seen from the caller's side."""
