"""The GraphQL contract: what can be asked, written and followed, and how it is read."""
