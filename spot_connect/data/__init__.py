"""Shipped tables and profiles, read-only at run time; SOURCES.md tells where they come from."""
