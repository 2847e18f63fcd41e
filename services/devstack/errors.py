class StackError(Exception):
    """Why the stack cannot continue, as one sentence for the person who uses it."""
