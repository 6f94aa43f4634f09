"""Recounts what was delivered: the ledger against the sinks, and the buckets against the ledger."""
