class CommandError(Exception):
    """Why a command cannot continue, as one sentence for the person who typed it."""
