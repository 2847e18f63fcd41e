"""The local stack as the command sees it. Nothing else in `services.cli` imports `services.devstack`."""
