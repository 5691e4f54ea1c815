"""Keep documents that clients name by their hash: persisted documents, and Apollo's automatic persisted queries.

A client that knows the hash of its document sends that alone; a process that
does not know it says so, and the client sends both once. What is kept is
bounded and per process: whoever is told that a document is not known sends it.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from domain.errors import GotongError
from schema.compile.plan import Bounded

DOCUMENTS_KEPT_MAX = 500
DOCUMENT_KEPT_CHARS_MAX = 16_384
SHA256 = "sha256:"
SHA256_HEX_CHARS = 64


class PersistedDocumentNotFound(GotongError):
    """This process does not know the document of that hash: send its text along once, as `query`."""

    code: ClassVar[str] = "PERSISTED_DOCUMENT_NOT_FOUND"


class PersistedQueryNotFound(GotongError):
    """The same, in the words that clients of Apollo's protocol wait for."""

    code: ClassVar[str] = "PERSISTED_QUERY_NOT_FOUND"


class DocumentIdInvalid(GotongError):
    """A document id is `sha256:` and 64 hexadecimal digits in lower case, and is the hash of the text beside it."""

    code: ClassVar[str] = "DOCUMENT_ID_INVALID"


class Documents:
    """The documents of one process. `is_valid` says whether a text is worth keeping."""

    def __init__(self, is_valid: Callable[[str], bool]) -> None:
        self._is_valid = is_valid
        self._texts: Bounded[str, str] = Bounded(DOCUMENTS_KEPT_MAX)

    def text(self, parameters: Mapping[str, Any]) -> object:
        """Return the document these parameters name or hold, or None; raises the errors of this module."""
        query, document_id = parameters.get("query"), parameters.get("documentId")
        apollo = document_id is None
        if apollo:
            extensions = parameters.get("extensions")
            persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
            if not isinstance(persisted, dict):
                return query
            document_id = f"{SHA256}{persisted.get('sha256Hash')}"
        key = _sha256_of(document_id)
        if isinstance(query, str) and query:
            return self._kept(key, query)
        text = self._texts.recent(key)
        if text is None:
            raise (
                PersistedQueryNotFound("PersistedQueryNotFound")
                if apollo
                else PersistedDocumentNotFound(
                    "The document of this id is not known here. Send its text once, as `query` beside the id."
                )
            )
        return text

    def _kept(self, key: str, text: str) -> str:
        if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != key:
            raise DocumentIdInvalid("The document's id is not the SHA-256 of its text in UTF-8.")
        if len(text) <= DOCUMENT_KEPT_CHARS_MAX and self._is_valid(text):
            self._texts.keep(key, text)
        return text


def _sha256_of(document_id: object) -> str:
    if isinstance(document_id, str) and document_id.startswith(SHA256):
        key = document_id.removeprefix(SHA256)
        if len(key) == SHA256_HEX_CHARS and set(key) <= set("0123456789abcdef"):
            return key
    raise DocumentIdInvalid("A document's id is `sha256:` and 64 hexadecimal digits in lower case.")
