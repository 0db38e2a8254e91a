"""Benchmarks of bbnas itself: engine, training step, samplers."""
