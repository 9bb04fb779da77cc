"""The other source of truth: what OpenRouter's account API says, asked for, kept, and held against our own records."""
