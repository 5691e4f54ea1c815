"""Which person or machine may do what."""
