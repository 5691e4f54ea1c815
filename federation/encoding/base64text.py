"""Write and read base64 in its one canonical spelling (RFC 4648, section 4), as C2SP notes and proofs use it. Pure."""

import binascii


def encode(data: bytes) -> str:
    """Return the base64 of `data`, padded, without line breaks."""
    return binascii.b2a_base64(data, newline=False).decode()


def decode(text: str) -> bytes | None:
    """Return the bytes, or None unless encoding them again gives exactly `text`."""
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are ValueErrors
        return None
    return data if encode(data) == text else None
