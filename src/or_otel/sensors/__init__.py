"""Watch HTTP libraries and tell an `Exchange` what passes; the only place that patches."""
