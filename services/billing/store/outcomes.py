"""What the functions of the ledger answer."""

OK = "OK"
"""The outcome of a function that succeeded; any other is a Reason."""
