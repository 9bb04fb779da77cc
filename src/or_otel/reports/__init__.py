"""Answers as people and programs read them: pure, from values that the ledger gave."""
