"""Bytes as AWS writes them, taken apart into records: one file per log format."""
