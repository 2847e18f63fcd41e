"""The `reelgate` command: administer any installation, generate videos, and run the local stack."""
