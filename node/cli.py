"""The command `gotong`: names the commands and turns what they raise into exit codes.

0    done
1    refused: a rule of Gotong was broken; the first word says which
2    usage: the command line itself is wrong
3    unavailable: the database, the disk or another machine; trying again later may help
70   a bug in Gotong, with a traceback
130  interrupted at the keyboard
"""

import sys
import traceback

import typer

from domain.errors import GotongError
from node.commands import (
    bundle,
    contact,
    erasures,
    evidence,
    import_,
    invite,
    keys,
    mirror,
    move,
    org,
    participant,
    peer,
    removals,
    suggest,
)
from node.commands.alerts import alerts
from node.commands.backup import backup, restore
from node.commands.confirm import confirm
from node.commands.demo import demo
from node.commands.init import init
from node.commands.migrate import migrate
from node.commands.suppress import suppress
from node.commands.token import token
from node.commands.up import up
from node.commands.verify import verify, verify_proof
from node.commands.version import version
from node.commands.waiting import waiting
from node.output import show_error

EXIT_REFUSED = 1
EXIT_UNAVAILABLE = 3
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
# By code, not by class: importing the classes would load the database driver for `gotong --help`.
UNAVAILABLE = frozenset(
    {
        "DATABASE_UNAVAILABLE",
        "DATABASE_BUSY",
        "DISK_FULL",
        "PUBLICATION_WAITS",
        "EMBEDDED_DATABASE_UNAVAILABLE",
        "PEER_UNREACHABLE",
        "PEER_TIMEOUT",
        "PEER_BUSY",
    }
)

app = typer.Typer(
    name="gotong",
    help="Run a node of Gotong: signed public records of what communities do and need.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print the values of variables, secrets too
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up)
app.command()(demo)
app.command()(init)
org.app.add_typer(move.app, name="move")
app.add_typer(org.app, name="org")
app.add_typer(keys.app, name="keys")
app.add_typer(participant.app, name="participant")
app.add_typer(contact.app, name="contact")
app.add_typer(import_.app, name="import")
app.add_typer(evidence.app, name="evidence")
app.add_typer(peer.app, name="peer")
peer.app.command()(invite.invite)
peer.app.command()(invite.join)
peer.app.command()(suggest.suggest)
app.add_typer(mirror.app, name="mirror")
app.add_typer(bundle.app, name="bundle")
app.add_typer(erasures.app, name="erasures")
app.add_typer(removals.app, name="removals")
app.command()(peer.sync)
app.command()(peer.reports)
app.command()(alerts)
app.command()(suppress)
app.command()(token)
app.command()(backup)
app.command()(restore)

app.command()(verify)
app.command("verify-proof")(verify_proof)
app.command()(confirm)
app.command()(waiting)
app.command()(migrate)
app.command()(version)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(given, prog_name="gotong")
    except GotongError as error:
        show_error(error, as_json="--json" in given)
        sys.exit(EXIT_UNAVAILABLE if error.code in UNAVAILABLE else EXIT_REFUSED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception:
        traceback.print_exc()
        sys.stderr.write("This is a bug in Gotong; please report it with the lines above.\n")
        sys.exit(EXIT_BUG)


if __name__ == "__main__":
    main()
