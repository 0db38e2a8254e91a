"""Schema 4: the oldest that can be upgraded."""

revision = "4"
down_revision = None
