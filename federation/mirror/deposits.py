"""Take what nodes deposit here: logs of participants whose node nobody can connect to. Shell.

A deposit is a bundle that comes over a signed request, and is taken like one: nothing is believed because of who brings
it. What the depositor's invitation gives it is room, and a home for its participants: they get the trust that this
node's operator gave the depositor.

Rules, with the error that answers each:
- G2.1 who deposits has joined by an invitation: DEPOSIT_NOT_INVITED.
- G2.2 a depositor sends at most DEPOSIT_BYTES_PER_HOUR_MAX bytes an hour, and is told when to go on:
  DEPOSIT_QUOTA_SPENT.
- G2.3 a depositor is the first to bring at most DEPOSITED_PARTICIPANTS_MAX participants, whoever hosts them:
  DEPOSITOR_FULL.
- G2.4 any log may be deposited, also one that the depositor does not host; rules B decide what of it is taken, and a
  deposit holds at most DEPOSIT_LOGS_MAX logs: STREAM_LOG_UNEXPECTED.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from domain.errors import GotongError
from federation.bundles.bundle import import_
from federation.bundles.intake import Intake, Taken
from federation.log.entry import Network
from federation.log.names import parse_origin
from federation.mirror.deposit import DEPOSIT_LOGS_MAX, Deposited
from federation.moderation import trust
from federation.sync.sections import Opened
from store import depositors, mail_places
from store import held as held_
from store.database import Database
from store.held import Held
from store.locks import Claims

DEPOSIT_BYTES_PER_HOUR_MAX = 64 * 1024 * 1024
DEPOSITED_PARTICIPANTS_MAX = 500


class DepositNotInvited(GotongError):
    """Only nodes that joined by an invitation of this node's operator may deposit here."""

    code: ClassVar[str] = "DEPOSIT_NOT_INVITED"


class DepositQuotaSpent(GotongError):
    """A depositor has sent as much as it may within an hour; `retry_after_s` says when to go on."""

    code: ClassVar[str] = "DEPOSIT_QUOTA_SPENT"


class DepositorFull(GotongError):
    """A depositor has brought as many participants as it may; an operator can invite it to another mirror."""

    code: ClassVar[str] = "DEPOSITOR_FULL"


@dataclass(frozen=True, slots=True)
class Deposits:
    """Takes deposits into one node."""

    database: Database
    network: Network
    clock: Callable[[], datetime]
    claims: Claims

    async def take(self, operator_scid: str, body: bytes) -> list[Deposited]:
        """Return what is held now of each log in the deposit, or raise for the first rule G2, B3 or F it breaks."""
        peer_id = await self._admitted(operator_scid, len(body))

        fresh: set[str] = set()

        async def gate(event: Opened, held: Held | None) -> None:
            if held is None:
                await self._require_room(peer_id, len(fresh))
                fresh.add(parse_origin(event.origin).scid)

        intake = Intake(
            self.database,
            self.network,
            self.clock,
            self.claims,
            gate=gate,
            peer_id=peer_id,
            logs_max=DEPOSIT_LOGS_MAX,
        )
        try:
            await import_(intake, [body])
        finally:
            await self._settle_homes(peer_id, operator_scid, intake.taken, sorted(fresh))
        return await self._held(intake.taken)

    async def _admitted(self, operator_scid: str, size_bytes: int) -> int:
        now = self.clock()
        hour = now.replace(minute=0, second=0, microsecond=0)
        async with self.database.transaction() as connection:
            peer_id = await depositors.find(connection, operator_scid)
            if peer_id is None:
                raise DepositNotInvited("an operator here has to invite you first: gotong peer invite")
            spent = await depositors.spend(connection, peer_id, hour, size_bytes)
            if spent > DEPOSIT_BYTES_PER_HOUR_MAX:  # raised inside the transaction, so nothing is spent
                wait_s = math.ceil((hour + timedelta(hours=1) - now).total_seconds())
                raise DepositQuotaSpent("the quota of this hour is spent", retry_after_s=max(1, wait_s))
        return peer_id

    async def _require_room(self, peer_id: int, fresh: int) -> None:
        async with self.database.acquire() as connection:
            brought = await depositors.count_deposited(connection, peer_id) + fresh
        if brought >= DEPOSITED_PARTICIPANTS_MAX:
            raise DepositorFull("no more new participants are taken from this depositor", count_max=brought)

    async def _settle_homes(self, peer_id: int, operator_scid: str, taken: dict[str, Taken], fresh: list[str]) -> None:
        """Remember who brought the `fresh` participants and whose requests wait for the depositor.

        Those under the depositor's own host get its trust.
        """
        scids = sorted({parse_origin(origin).scid for origin, each in taken.items() if each.entries} | set(fresh))
        async with self.database.transaction() as connection:
            if scids:
                await depositors.mark_deposited(connection, peer_id, fresh)
                at_home = await held_.find_homes(connection, peer_id, operator_scid, scids)
                if at_home:
                    await trust.inherit(connection, await trust.trust_of_peer(connection, peer_id), at_home)
            named = sorted({scid for scid, _ in _named(taken)})
            await mail_places.settle(connection, peer_id, operator_scid, named)

    async def _held(self, taken: dict[str, Taken]) -> list[Deposited]:
        async with self.database.acquire() as connection:
            held = await held_.held(connection, list(_named(taken)))
        found: list[Deposited] = []
        for origin, each in taken.items():
            size, did_version = (held[origin].size, held[origin].did_version) if origin in held else (0, 0)
            found.append(Deposited(origin, size, did_version, None if each.error is None else each.error.code))
        return found


def _named(origins: Iterable[str]) -> Iterable[tuple[str, str]]:
    for origin in origins:
        try:
            yield parse_origin(origin).scid, origin
        except GotongError:
            continue
