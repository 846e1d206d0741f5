"""Benchmarks, reports and the built-in sample."""
