"""Reads AWS logs without losing any, enriches them, and delivers them with a receipt for every record."""

__version__ = "0.1.0"
