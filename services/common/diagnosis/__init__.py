"""What `check` looks at before traffic comes: the database, certificates, neighbours. Each problem is one finding."""
