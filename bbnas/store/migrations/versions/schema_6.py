"""Schema 6: trainings beside the candidates are claimed by a run."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    """Make the table of claims."""
    op.create_table(
        "bbnas_claims",
        sa.Column("study_id", sa.Integer, sa.ForeignKey("bbnas_studies.id"), primary_key=True),
        sa.Column("design_key", sa.String(16), primary_key=True),
        sa.Column("protocol_key", sa.String(12), primary_key=True),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("bbnas_runs.id"), nullable=False),
    )
