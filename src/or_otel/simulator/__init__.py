"""A scripted OpenRouter on loopback: a real HTTP server whose answers are data and whose bill is exact.

For the demo and for tests. `server` is the door; it knows nothing of how or-otel reads an answer.
"""
