"""Logs that did:webvh allows and Gotong does not."""

from collections.abc import Iterator

from spec.did.case import (
    HEAD,
    NO_PREROTATION,
    START,
    Case,
    both,
    drop,
    epoch,
    new_epoch,
    parameter,
    refused,
    retired,
    set_,
)
from spec.did.writer import PATH, PLACEHOLDER, Edit, Json, Writer, method, move, multikey


def cases() -> Iterator[Case]:
    """Yield logs that are no Gotong participant's."""
    for group in (_place, _service, _history, _end):
        yield from group()


SECP256K1 = "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"


def _place() -> Iterator[Case]:
    case = refused("DID_HOST_REFUSED", "require_gotong")
    for name, host, path in (
        ("upper-case-host", "Melati.gotong.test", PATH),
        ("other-path", "melati.gotong.test", "p:rt05"),
        ("upper-case-slug", "melati.gotong.test", "o:RT05"),
        ("slug-with-dot", "melati.gotong.test", "o:rt.05"),
    ):

        def to(entry: Json, host: str = host, path: str = path) -> None:
            move(entry, host, path=path)

        yield case(name, f"{host}:{path} is a did:webvh, but not a Gotong place.", Writer().first().next(to))
    case = refused("DID_NOT_PORTABLE", "require_gotong")
    yield case("fixed", "A participant that cannot move.", Writer().first(parameter("portable", False)))
    case = refused("DID_PREROTATION_MISSING", "require_gotong")
    yield case("off", "A participant that commits to no next key.", Writer().first(NO_PREROTATION))


def _end() -> Iterator[Case]:
    case = refused("DID_LOG_NOT_CLOSED", "require_gotong")
    end = both(NO_PREROTATION, parameter("deactivated", True))
    yield case("open-end", "It ends, and its key could go on signing.", Writer().first().next(end))


def _service() -> Iterator[Case]:
    case = refused("DID_SERVICE_MALFORMED", "require_gotong")
    here = ("state", "service", 0)
    wrong: dict[str, Edit] = {
        "no-service": drop("state", "service"),
        "two-services": lambda entry: entry["state"]["service"].append(entry["state"]["service"][0]),
        "other-id": set_(*here, "id", to="#other"),
        "endpoint-not-http": set_(*here, "serviceEndpoint", to="ftp://mawar.gotong.test"),
        "endpoint-with-user": set_(*here, "serviceEndpoint", to="https://a@mawar.gotong.test"),
        "endpoint-with-query": set_(*here, "serviceEndpoint", to="https://mawar.gotong.test?a"),
        "endpoint-final-slash": set_(*here, "serviceEndpoint", to="https://mawar.gotong.test/"),
        "endpoint-with-newline": set_(*here, "serviceEndpoint", to="https://mawar.gotong.test\n"),
        "endpoint-upper-case-scheme": set_(*here, "serviceEndpoint", to="HTTPS://mawar.gotong.test"),
        "endpoint-not-ascii": set_(*here, "serviceEndpoint", to="https://mawär.gotong.test"),
        "endpoint-bad-port": set_(*here, "serviceEndpoint", to="https://mawar.gotong.test:99999"),
        "other-network": set_(*here, "network", to="prod"),
        "epoch-negative": set_(*here, "epoch", to=-1),
        "epoch-too-large": set_(*here, "epoch", to=2**31),
        "epoch-boolean": set_(*here, "epoch", to=False),
        "first-epoch-from": set_(*here, "from", to=START),
        "no-keys": set_(*here, "keys", to=[]),
        "key-listed-twice": set_(*here, "keys", to=[{"id": "#log-0-0"}] * 2),
        "key-of-other-epoch": set_(*here, "keys", to=[{"id": "#log-1-0"}]),
        "key-not-in-document": set_(*here, "keys", to=[{"id": "#log-0-1"}]),
        "key-absolute": set_(*here, "keys", to=[{"id": f"did:webvh:{PLACEHOLDER}#log-0-0"}]),
        "retired-without-root": set_(*here, "keys", 0, "retired", to={"size": 1}),
        "retired-null": set_(*here, "keys", 0, "retired", to=None),
        "retired-size-text": set_(*here, "keys", 0, "retired", to={**HEAD, "size": "1"}),
        "retired-root-upper-case": set_(*here, "keys", 0, "retired", to={**HEAD, "root": "AB" * 32}),
        "not-for-assertion": set_("state", "assertionMethod", to=[]),
        "not-multikey": set_("state", "verificationMethod", 0, "type", to="JsonWebKey2020"),
        "other-controller": set_("state", "verificationMethod", 0, "controller", to="did:web:example.com"),
        "not-ed25519": set_(
            "state",
            "verificationMethod",
            0,
            "publicKeyMultibase",
            to="zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
        ),
        "one-id-two-keys": _second_key("#log-0-0", 11),
        "one-key-two-ids": _second_key("#request-0", 10),
    }
    for name, edit in wrong.items():
        yield case(name, f"The service or its keys: {name.replace('-', ' ')}.", Writer().first(edit))


def _second_key(fragment: str, number: int) -> Edit:
    def edit(entry: Json) -> None:
        entry["state"]["verificationMethod"].append(method(entry["state"]["id"], fragment, number))

    return edit


def _history() -> Iterator[Case]:
    case = refused("DID_SERVICE_REWRITTEN", "require_gotong")
    here = ("state", "service", 0)
    yield case("network-changed", "A test log becomes live.", Writer().first().next(set_(*here, "network", to="live")))
    replaced = set_("state", "verificationMethod", 0, "publicKeyMultibase", to=multikey(11))
    yield case("key-replaced", "A key changes under its id.", Writer().first().next(replaced))
    dropped = retired().next(_only_second_key, key=2, time="2026-11-03T00:00:00Z")
    yield case("key-dropped", "A retired key is no longer stated.", dropped)
    revived = retired().next(drop(*here, "keys", 0, "retired"), key=2, time="2026-11-03T00:00:00Z")
    yield case("key-revived", "A retired key comes back.", revived)
    later = retired().next(set_(*here, "keys", 0, "retired", "size", to=8), key=2, time="2026-11-03T00:00:00Z")
    yield case("retired-later", "A key is retired at another size afterwards.", later)
    yield case("epoch-first", "The first version is of epoch 1.", Writer().first(epoch(1, START)))
    yield case("epoch-skipped", "From epoch 0 to 2.", Writer().first().next(epoch(2, START)))
    yield case("epoch-from-nowhere", "A new epoch that states no head.", Writer().first().next(epoch(1, None)))
    malformed = refused("DID_SERVICE_MALFORMED", "require_gotong")
    for name, start in (
        ("epoch-without-genesis", HEAD),
        ("epoch-genesis-upper-case", {**START, "genesis": "AB" * 32}),
        ("epoch-from-empty-log", {**START, "size": 0}),
    ):
        yield malformed(name, "An epoch's start that is none.", Writer().first().next(epoch(1, start)))
    yield case("epoch-back", "Back to the epoch before.", _back())
    other = new_epoch().next(set_(*here, "from", "size", to=6), key=2, time="2026-11-03T00:00:00Z")
    yield case("epoch-restarted", "An epoch's start is changed.", other)


def _only_second_key(entry: Json) -> None:
    state = entry["state"]
    state["verificationMethod"] = state["verificationMethod"][1:]
    state["assertionMethod"] = state["assertionMethod"][1:]
    state["service"][0]["keys"] = state["service"][0]["keys"][1:]


def _back() -> Writer:
    def edit(entry: Json) -> None:
        epoch(0, None)(entry)
        del entry["state"]["service"][0]["from"]

    return new_epoch().next(edit, key=2, time="2026-11-03T00:00:00Z")
