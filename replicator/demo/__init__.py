"""`replicator demo`: an embedded PostgreSQL, a small shop with a busy writer, and its live copy in an SQLite file."""
