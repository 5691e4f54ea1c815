"""Restricted parts in the contract: contact and exact place, who may have them, who was given them."""
