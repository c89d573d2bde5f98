"""What is measured on PostgreSQL: one server that keeps what it commits, and everybody against it in turns."""
