"""The paper's tables and figures as ablations: rows to train, claims to judge, a report."""
