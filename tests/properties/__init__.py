"""Random lives of the whole: whatever comes in whatever order, everything adds up at the end."""
