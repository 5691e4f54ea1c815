"""Whether a did:webvh log is valid, and what it says."""
