"""Samplers compared by simulated searches on a table of trained designs."""
