"""What nobody can read who has the database alone."""
