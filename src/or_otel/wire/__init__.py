"""Bytes → facts: pure readers of what the providers send, and the only importers of msgspec."""
