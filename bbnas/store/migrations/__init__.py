"""Scripts of Alembic that bring a database of an older schema up to date.

``versions/schema_N.py`` makes schema N of schema N - 1. Its revision is N. A script is not changed
once a release has it, so it does not import the tables, which change.
"""
