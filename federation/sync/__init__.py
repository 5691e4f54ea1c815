"""What nodes say to each other about logs, asked and answered, and how it is stored."""
