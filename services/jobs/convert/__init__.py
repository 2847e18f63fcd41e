"""Wire messages and domain values, both ways: one module for each contract, and for what the two share."""
