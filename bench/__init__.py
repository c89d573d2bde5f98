"""Benchmarks: ratios against something run in the same minute on the same machine."""
