"""The dashboard: pages over study databases that are being written, or were. It only reads."""

from __future__ import annotations
