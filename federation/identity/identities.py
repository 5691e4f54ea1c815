"""Read and write the DID logs that are held: what was verified goes in, what comes out is verified again. Shell."""

from collections.abc import Sequence
from datetime import UTC, datetime

from federation.did import webvh
from federation.did.state import DidState
from federation.did.syntax import parse as parse_did
from federation.log.service import log_service
from store import participants
from store.database import Connection

VERIFIED_BEFORE = datetime(9999, 12, 31, tzinfo=UTC)
"""Lines held here passed the clock's test when they came; a clock that went back must not refuse them now."""


async def load(connection: Connection, participant_id: int, scid: str) -> DidState:
    """Return what the DID log held of a participant says."""
    lines = await participants.did_lines(connection, participant_id)
    witness = await participants.did_witness(connection, participant_id)
    return webvh.verify(lines, now=VERIFIED_BEFORE, witness=witness, scid=scid)


async def extend(
    connection: Connection,
    participant_id: int,
    state: DidState,
    lines: Sequence[bytes],
    *,
    witness: bytes | None = None,
) -> None:
    """Write the last lines of a verified DID log, `state` being what all of it says. Call inside a transaction.

    Lines are kept in their canonical form: whoever hands them on can spell them in other ways. Witness proofs that were
    read for none of its versions say nothing, and are not kept.
    """
    host, slug = host_and_slug(state.did)
    is_witnessed = any(version.parameters.witness for version in state.versions)
    await participants.append_did_lines(
        connection,
        participant_id,
        [webvh.canonical_line(line) for line in lines],
        participants.Stated(
            state.version_count,
            webvh.version_hash(state.version_id),
            state.did,
            host,
            slug,
            epoch=log_service(state).epoch,
            ended=state.deactivated,
        ),
        witness=witness if is_witnessed else None,
    )


def host_and_slug(did_text: str) -> tuple[str, str]:
    """Return the host, with its port, and the short name of a participant's DID."""
    place = parse_did(did_text)
    return place.host if place.port is None else f"{place.host}:{place.port}", place.slug
