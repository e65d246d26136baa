"""The test library: real servers, databases of a test's own, faults, and an oracle."""
