"""Wire messages and domain values, both ways: one module for each contract, one for what the two share."""
