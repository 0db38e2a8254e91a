"""One script for each schema; the first, of schema 4, is where upgrades begin."""
