"""Rates of each stage beside the raw rates of the same run. `make bench` prints them."""
