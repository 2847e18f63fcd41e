"""The catalogue file: which models there are, by which routes they are rendered, and whose keys pay. docs/catalogue.md has every key."""
