"""What an operator decides about peers, participants and records."""
