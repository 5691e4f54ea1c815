"""`gotong import`: publish what is in a spreadsheet."""

from pathlib import Path
from typing import Annotated

import typer

from node.output import AsJson, DataDir, Json, show

app = typer.Typer(help="Publish what is in a spreadsheet.", no_args_is_help=True)

REFUSALS_SHOWN_MAX = 20


@app.command()
def needs(
    file: Annotated[Path, typer.Argument(help="A CSV file with a header line, in UTF-8.")],
    map_file: Annotated[Path, typer.Option("--map", metavar="MAP.toml", help="How its columns become needs.")],
    organization: Annotated[str, typer.Option("--as", help="Short name or id of the organization to publish for.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, publish nothing.")] = False,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write every refused row, with line and reason, to this CSV file.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Publish rows as needs. Running it again publishes only what was not published before."""
    import asyncio
    import csv

    from rich.console import Console
    from rich.progress import Progress

    from node.importer import Report, import_needs, read_map
    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import opened

    import_map = read_map(map_file)
    settings = Settings.load(data_dir)

    async def run() -> Report:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("checking" if dry_run else "publishing", total=None)
            async with opened(settings) as node:
                participant = await hosted_participant(node, organization)
                return await import_needs(
                    node,
                    participant.scid,
                    file,
                    import_map,
                    dry_run=dry_run,
                    progress=lambda rows: bar.advance(task, rows),
                )

    report = asyncio.run(run())
    if report_file is not None:
        with report_file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["line", "code", "field", "message"])
            writer.writerows([each.line, each.code, each.field, each.message] for each in report.refusals)
    done = "would be published" if dry_run else "published"
    lines = [f"{report.published} {done}, {report.repeated} were there already, {len(report.refusals)} refused"]
    lines += [f"line {each.line}: {each.code} {each.field}: {each.message}" for each in report.refusals]
    if len(lines) > REFUSALS_SHOWN_MAX + 1:
        lines = [*lines[: REFUSALS_SHOWN_MAX + 1], "... (--report FILE writes them all)"]
    answer: Json = {
        "published": report.published,
        "repeated": report.repeated,
        "dryRun": dry_run,
        "refused": [
            {"line": each.line, "code": each.code, "field": each.field, "message": each.message}
            for each in report.refusals
        ],
    }
    show(answer, "\n".join(lines), as_json=as_json)
