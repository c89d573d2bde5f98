"""Stories told to a real Chromium before a real server; they stand in app/console/frontend/browser."""
