"""Two releases side by side, under load: `make check-upgrade`."""
