"""Benchmarks of bbnas itself: engine, training, samplers."""
