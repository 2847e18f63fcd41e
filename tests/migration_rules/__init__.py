"""What a new migration may not do while the release before serves: `python -m tests.migration_rules`, part of `make lint`."""
