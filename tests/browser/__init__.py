"""Stories told to a real Chromium before a real server; they stand in console/browser."""
