"""Logical replication between PostgreSQL, MySQL, MariaDB and SQLite."""

__version__ = "0.1.0"
