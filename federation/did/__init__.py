"""Whether a did:webvh log is valid, what it says, and how it is written."""
