"""Real servers that the tests start: found or fetched, run on loopback, stopped."""
