"""Client of Reelgate: create videos, wait for them, verify webhooks."""
