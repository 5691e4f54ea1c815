"""Make a short name out of a name: what DIDs and URLs carry."""

import re
import unicodedata

from domain.records.organization import SLUG_CHARS_MAX, is_slug

FALLBACK = "komunitas"


def slug_of(name: str) -> str:
    """Return a slug for `name`: letters and digits in lower case, hyphens between words ("Baca Yuk!": baca-yuk)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:SLUG_CHARS_MAX].strip("-")
    return slug if is_slug(slug) else FALLBACK
