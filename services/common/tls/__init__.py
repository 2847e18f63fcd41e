"""Mutual TLS between services and towards operators: certificates from files, and who may call what."""
