"""Schema 8: changes of candidates are numbered, and found by their number or their state."""

import sqlalchemy as sa
from alembic import op

revision = "8"
down_revision = "7"


def upgrade() -> None:
    """Number all candidates 0, as before any change."""
    op.add_column(
        "bbnas_candidates",
        sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("ix_bbnas_candidates_revision", "bbnas_candidates", ["study_id", "revision"])
    op.create_index("ix_bbnas_candidates_state", "bbnas_candidates", ["study_id", "state"])
