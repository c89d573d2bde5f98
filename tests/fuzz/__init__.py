"""Thousands of requests, frames and files that no client would send, against a real server.

`python -m tests.fuzz --number 20000` plays the whole; `make test` plays a smaller part. The seed
is printed: the same seed sends the same things in the same order of each lane.
"""
