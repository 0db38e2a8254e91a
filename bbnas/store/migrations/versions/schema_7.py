"""Schema 7: the database keeps the states of paused trainings where no folder is shared."""

import sqlalchemy as sa
from alembic import op

revision = "7"
down_revision = "6"


def upgrade() -> None:
    """Make the table of states."""
    op.create_table(
        "bbnas_states",
        sa.Column("study_id", sa.Integer, sa.ForeignKey("bbnas_studies.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("kept", sa.DateTime, nullable=False),
    )
