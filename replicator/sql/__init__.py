"""A library for SQL engines: what their targets share."""
