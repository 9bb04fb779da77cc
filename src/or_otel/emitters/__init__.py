"""Call records → outside: one module per back end; they know the record, not each other."""
