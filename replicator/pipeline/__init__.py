"""The commands. They know the protocols of `replicator.engine` and no engine."""
