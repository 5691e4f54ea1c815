"""What commands about participants share: how one and its cards are asked for, and what is told of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from domain.errors import GotongError
from node.output import Json

if TYPE_CHECKING:
    from federation.lifecycle.custody import Changed

Organization = Annotated[str, typer.Argument(metavar="ORG", help="Short name or id of the organization.")]
CardFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--card",
        metavar="FILE",
        help="A file with the words of one card, or its page; give it twice. Without it you are asked for the words.",
    ),
]
Name = Annotated[str, typer.Argument(help="Its name, as people know it.")]
Region = Annotated[str, typer.Option("--region", help="Where it is: a region code such as 32.03.28, or a name.")]
Kind = Annotated[
    str, typer.Option("--kind", help="COMMUNITY, NGO, GOVERNMENT, SPONSOR, COOPERATIVE or SCHOOL.", show_default=True)
]
Slug = Annotated[str | None, typer.Option("--slug", help="Short name on this node; made from the name by default.")]
Description = Annotated[str | None, typer.Option("--description", help="What it does, in a sentence or two.")]
CardsDir = Annotated[
    Path | None,
    typer.Option("--cards", metavar="DIR", help="Where the three recovery cards are written, outside --data."),
]
NoCards = Annotated[bool, typer.Option("--no-cards", help="Make no cards: only on the test network.")]


class CardsNeeded(GotongError):
    """On the live network nobody may be made without recovery cards: a lost key would be the end of the identity."""

    code: ClassVar[str] = "CARDS_NEEDED"


def cards_of(cards: Path | None, slug: str, *, no_cards: bool, network: str) -> Path | None:
    """Return the directory for the cards, or None where none are wanted; raise CardsNeeded."""
    if no_cards:
        if network != "test":
            raise CardsNeeded("--no-cards is for the test network; on the live one cards are always made")
        return None
    return cards or Path(f"gotong-cards-{slug}")


def told_cards(directory: Path | None) -> str:
    """Return what a person is told about the cards."""
    if directory is None:
        return "No recovery cards were made: this identity cannot be recovered."
    return (
        f"Recovery cards  {directory}: print the three pages, give them to three people, then delete the files.\n"
        f"Kartu pemulihan {directory}: cetak ketiganya, titipkan pada tiga orang berbeda, lalu hapus berkasnya."
    )


def changed_json(changed: "Changed") -> dict[str, Json]:
    """Return what an identity states now as a JSON document."""
    return {
        "id": f"gotong:{changed.scid}",
        "did": changed.did,
        "version": changed.version,
        "log": changed.origin,
        "size": changed.size,
        "signingKey": changed.signing_key,
    }
