"""The paper's tables and figures as experiments: rows to train, claims to judge, a report."""
