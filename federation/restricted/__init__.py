"""Parts that stay at home until their owner lets somebody read them."""
