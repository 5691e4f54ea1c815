"""Where a record stands in its publisher's log, and the proof a stranger can check."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from schema.common.proofs import bundles
from schema.common.scalars import BigInt, DateTime
from schema.compile.read import Related, after, declare, number, time, token
from store.cosignatures import SERVED_MAX

if TYPE_CHECKING:
    from schema.organizations.types import Organization

PROOF_COST = 5  # rows read for one: its entry, its head and some hundred hashes


@strawberry.type(description="Where a record's newest revision stands in its publisher's public log.")
class Provenance:
    """One entry of one log."""

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
    cosigners: list[Annotated["Organization", strawberry.lazy("schema.organizations.types")]] = declare(
        Related(
            """
            join cosignature c_{t} on c_{t}.cosigner_id = {t}.publisher_id
            join participant cosigner_{t} on cosigner_{t}.id = {t}.publisher_id
            join participant signer_{t} on signer_{t}.id = {outer}.publisher_id
                and signer_{t}.host <> cosigner_{t}.host
            where c_{t}.log_id = {outer_l}.id and c_{t}.size = {outer_l}.checkpoint_size
                and {outer}.index < {outer_l}.checkpoint_size
            """,
            order="c_{t}.at_s desc, {t}.publisher_id",
            rows_max=SERVED_MAX,
        ),
        f"The operators of other hosts whose cosignatures, checked here, stand on the signed head that `proof` leads "
        f"to, those who signed last first, at most {SERVED_MAX}: those that are shown here. Empty for an entry that no "
        "signed head held here covers yet.",
    )
    proof: str = after(
        "{t}.log_id || '/' || {t}.index",
        bundles,
        "A self-contained bundle that proves the record to a stranger, offline: save it and run `gotong verify-proof`.",
        PROOF_COST,
    )
