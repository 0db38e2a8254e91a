"""Figures that the report, the dashboard and notebooks share.

One file holds one figure and reads top to bottom: its plain values, how a study gives them, and
how Plotly draws them.
"""
