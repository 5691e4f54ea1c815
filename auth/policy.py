"""Decide who may write what: one table, asked by every mutation."""

from typing import ClassVar, Final

from auth.tokens import NotAuthenticated, Viewer
from domain.errors import GotongError

RECORDS_WRITE: Final = "records:write"
RESTRICTED_READ: Final = "restricted:read"
PEERS_ADMIN: Final = "peers:admin"

SCOPES: Final[dict[str, str]] = {
    "publishNeed": RECORDS_WRITE,
    "reviseNeed": RECORDS_WRITE,
    "withdrawNeed": RECORDS_WRITE,
    "confirmNeed": RECORDS_WRITE,
    "publishActivity": RECORDS_WRITE,
    "reviseActivity": RECORDS_WRITE,
    "postUpdate": RECORDS_WRITE,
    "updateOrganization": RECORDS_WRITE,
    "eraseRecord": RECORDS_WRITE,
    "requestRestricted": RESTRICTED_READ,
    "grantContactAccess": RESTRICTED_READ,
    "revokeContactAccess": RESTRICTED_READ,
    "addPeer": PEERS_ADMIN,
    "setPeerTrust": PEERS_ADMIN,
    "setParticipantTrust": PEERS_ADMIN,
    "suppressRecord": PEERS_ADMIN,
}
"""Which scope an action needs."""
OPEN: Final = frozenset({"requestRemoval"})
"""What anybody may do without a token; each of these has bounds of its own."""


class ScopeMissing(GotongError):
    """The access token does not carry the scope this action needs."""

    code: ClassVar[str] = "SCOPE_MISSING"


class Forbidden(GotongError):
    """The access token does not act for that organization."""

    code: ClassVar[str] = "FORBIDDEN"


def require(viewer: Viewer | None, action: str, scid: str) -> Viewer:
    """Return the viewer if it may do `action` for the organization `scid`.

    Raises NotAuthenticated, ScopeMissing or Forbidden.
    """
    return require_scope(viewer, SCOPES[action], scid)


def require_scope(viewer: Viewer | None, scope: str, scid: str) -> Viewer:
    """Return the viewer if it acts for the organization `scid` with that scope; raises as `require` does."""
    if viewer is None:
        raise NotAuthenticated("This needs an access token: send it as `Authorization: Bearer ...`.")
    if scope not in viewer.scopes:
        raise ScopeMissing(f"The access token lacks the scope {scope}.", scope=scope)
    if scid not in viewer.organizations:
        raise Forbidden("The access token does not act for that organization.", organization=f"gotong:{scid}")
    return viewer
