"""What happens to records of every type: followed live, or asked for now and then."""
