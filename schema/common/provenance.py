"""Where a record stands in its publisher's log, and the proof a stranger can check."""

import strawberry

from schema.common.proofs import bundles
from schema.common.scalars import BigInt, DateTime
from schema.compile.read import after, number, time, token

PROOF_COST = 5  # rows read for one: its entry, its head and some hundred hashes


@strawberry.type(description="Where a record's newest revision stands in its publisher's public log.")
class Provenance:
    """One entry of one log; `schema.links` adds who cosigned it."""

    log: strawberry.ID = token("{l}.origin", "The log's origin: gotong/<SCID>/<epoch>.")
    index: BigInt = number("{t}.index", "The entry's position in the log.")
    tree_size: BigInt = number("{l}.size", "How many verified entries of this log this node holds.")
    entry_hash: str = token("encode({e}.leaf_hash, 'hex')", "The entry's RFC 6962 leaf hash, in hex.")
    verified_at: DateTime = time("{e}.received_at", "When this node had verified the entry.")
    as_of: DateTime | None = time(
        """(
            select to_timestamp(max(cosignature.at_s)) from cosignature
            join participant cosigner on cosigner.id = cosignature.cosigner_id
            join participant signer on signer.id = {t}.publisher_id and signer.host <> cosigner.host
            where cosignature.log_id = {l}.id and cosignature.size > {t}.index
        )""",
        "When another host last signed that the newest log it had seen holds this entry; null when none has yet.",
    )
    proof: str = after(
        "{l}.id || '/' || {t}.index",
        bundles,
        "A self-contained bundle that proves the record to a stranger, offline: save it and run `gotong verify-proof`.",
        PROOF_COST,
    )
