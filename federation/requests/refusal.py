"""Read why a peer refused a request: its {code, message, details}, bounded, taken as a hint. Shell."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

REFUSAL_BYTES_MAX = 8_192
REFUSAL_S_MAX = 5.0
CODE_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a peer says is wrong: its code, "" for none, and the details of it."""

    code: str
    details: Mapping[str, Any]

    @property
    def skew_ms(self) -> int | None:
        """How far the peer says our clock was ahead of its own when we signed, if that is its reason."""
        told = self.details.get("skew_ms")
        return told if self.code == "SIGNATURE_SKEW" and type(told) is int else None


NO_REASON = Refusal("", {})


async def read_refusal(response: httpx.Response) -> Refusal:
    """Return what an error answer says, NO_REASON if it is not one of this protocol; close it. Raises as httpx does."""
    data = bytearray()
    try:
        async with asyncio.timeout(REFUSAL_S_MAX):
            async for piece in response.aiter_raw():
                data += piece
                if len(data) > REFUSAL_BYTES_MAX:
                    return NO_REASON
        told = orjson.loads(data)
    except (orjson.JSONDecodeError, TimeoutError):
        return NO_REASON
    finally:
        await response.aclose()
    if not isinstance(told, dict) or not isinstance(told.get("code"), str):
        return NO_REASON
    details = told.get("details")
    return Refusal(told["code"][:CODE_CHARS_MAX], details if isinstance(details, dict) else {})
