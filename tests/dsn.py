"""Addresses of test databases."""

import urllib.parse


def dsn_of(server_dsn: str, name: str) -> str:
    """Return the DSN of the database `name` on the same server."""
    parts = urllib.parse.urlsplit(server_dsn)
    # Without a netloc urlunsplit drops the slashes: postgresql:/name.
    return urllib.parse.urlunsplit(parts._replace(path=f"/{name}", netloc=parts.netloc or "postgres@"))
