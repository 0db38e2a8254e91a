"""Schema 5: every database has budgets of runs and attempts; some of schema 4 lack them.

With the index, an evaluation is removed without a search of all candidates for who refers to it.
"""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Make the tables that are missing."""
    op.create_table(
        "bbnas_budgets",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("bbnas_runs.id"), primary_key=True),
        sa.Column("designs", sa.Integer, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "bbnas_attempts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, sa.ForeignKey("bbnas_studies.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("bbnas_runs.id"), nullable=False),
        sa.Column("worker", sa.Integer),
        sa.Column("started", sa.DateTime, nullable=False),
        sa.Column("finished", sa.DateTime),
        sa.Column("outcome", sa.String(16), nullable=False),
        if_not_exists=True,
    )
    op.create_index(
        "ix_bbnas_attempts_study_id", "bbnas_attempts", ["study_id"], if_not_exists=True
    )
    op.create_index("ix_bbnas_candidates_evaluation_id", "bbnas_candidates", ["evaluation_id"])
