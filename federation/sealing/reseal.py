"""Bring what is sealed to the newest key: after a rotation, and once after an upgrade from a version that sealed
nothing. Shell.

Logs are taken one by one, each with its head locked: whoever appends meanwhile waits, and seals with the newest key
when its turn comes. So when this is done, nothing refers to older keys.
"""

from federation.sealing.vault import Vault
from store import idempotency, logs, restricted, waiting
from store.database import Connection, Database
from store.logs import LogRow
from store.restricted import Part

PARTS_AT_ONCE = 500


async def reseal(database: Database, vault: Vault) -> int:
    """Return how many restricted parts were sealed anew; raise RestrictedUnreadable for one that cannot be opened."""
    number = vault.number
    await _blind_digests(database, vault)
    async with database.acquire() as connection:
        origins = await restricted.outdated_logs(connection, number)
    done = 0
    for origin in origins:
        while count := await _reseal_some(database, vault, origin, number):
            done += count
    return done


async def rotate(database: Database, vault: Vault) -> int:
    """Return how many restricted parts a new key has sealed; the old keys are destroyed then.

    A key that sealed a publication which still waits goes with the first rotation after that was published.
    """
    number = vault.renew()
    done = await reseal(database, vault)
    async with database.acquire() as connection:
        in_use = await waiting.key_numbers(connection)
    vault.forget_before(number, keeping=in_use)
    return done


async def _reseal_some(database: Database, vault: Vault, origin: str, number: int) -> int:
    async with database.transaction() as connection:
        log = await logs.lock_head(connection, origin)
        assert log is not None
        parts = await restricted.outdated(connection, log.id, number, PARTS_AT_ONCE)
        await _replace(connection, log, parts, vault)
    return len(parts)


async def _replace(connection: Connection, log: LogRow, parts: list[Part], vault: Vault) -> None:
    opened = [(part.index, part.plain or _opened(log, part, vault)) for part in parts]
    await restricted.replace(
        connection, log.id, [(index, vault.seal(log.scid, index, *salted)) for index, salted in opened]
    )


def _opened(log: LogRow, part: Part, vault: Vault) -> tuple[bytes, bytes]:
    assert part.sealed is not None
    return vault.open(log.scid, part.index, part.sealed)


async def _blind_digests(database: Database, vault: Vault) -> None:
    while True:
        async with database.transaction() as connection:
            found = await idempotency.unblinded(connection, PARTS_AT_ONCE)
            if not found:
                return
            await idempotency.blind(connection, [(owner, key, vault.blinded(digest)) for owner, key, digest in found])
