"""What the functions of the ledger answer."""

OK = "OK"
"""The outcome of a function that did what it was asked for; any other is a Reason."""
