"""Drop-in OpenTelemetry for OpenRouter and every OpenAI-compatible LLM API."""
