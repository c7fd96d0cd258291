"""The shell's front door: `flask --app app refresh|search|sources|config|version|refresher`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
import orjson
from click.shell_completion import CompletionItem
from flask import Flask
from injector import Injector
from tqdm import tqdm

from helpers.errors import HubError
from helpers.records import INDICES
from helpers.search_args import arguments_of_query_string, parse_search_args
from routes.main import Identity
from services.refresh import RefreshService
from services.refresher import Refresher
from services.search import SearchService
from services.sources import SourceService, SourceStatus

STOP_S = 3.0  # a refresher that has not stopped by then is ended: nothing released can be lost


Listing = Callable[[], Sequence[tuple[str, str, str]]]  # (key, shown value, origin) of every setting


def register_commands(app: Flask, injector: Injector, settings: Listing) -> None:
    """Add the commands; each asks the injector for the services that it needs."""
    made = (_refresh(injector), _search(injector), _sources(injector), _config(settings), _version(injector))
    for command in (*made, _refresher(injector)):
        app.cli.add_command(command)


def _refresh(injector: Injector) -> click.Command:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        keys = injector.get(RefreshService).keys
        return [CompletionItem(key) for key in keys if key.startswith(incomplete)]

    @click.command("refresh")
    @click.argument("source", nargs=-1, shell_complete=complete)
    @click.option(
        "--accept", is_flag=True, help="Release what was held back, or this refresh whatever it yields."
    )
    def refresh(source: tuple[str, ...], accept: bool) -> None:
        """Fetch, normalise and release SOURCE...; all enabled ones when none is named."""
        service = injector.get(RefreshService)
        unknown = [key for key in source if key not in service.keys]
        if unknown:
            raise click.BadParameter(
                f"{unknown[0]!r} is no enabled source; there are {', '.join(service.keys)}"
            )
        with _Bars(sys.stderr.isatty()) as bars:
            outcomes = _run(lambda: service.refresh(source or service.keys, accept=accept, watch=bars.show))
        for key, error in outcomes.items():
            status = injector.get(SourceService).get(key)
            click.echo(_line(status), err=error is not None)
        if any(outcomes.values()):
            raise SystemExit(1)

    return refresh


def _run(work: Any) -> dict[str, HubError | None]:
    try:
        outcomes: dict[str, HubError | None] = work()
    except HubError as error:
        raise click.ClickException(f"the refresh could not begin: {error}") from error
    return outcomes


class _Bars:
    """One progress bar per source, on a terminal only."""

    def __init__(self, visible: bool) -> None:
        self._visible = visible
        self._bars: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def show(self, status: SourceStatus) -> None:
        """Move the bar of a source."""
        with self._lock:
            bar = self._bars.get(status.key)
            if bar is None:
                place = len(self._bars)
                bar = self._bars[status.key] = tqdm(
                    desc=status.key, unit=" records", position=place, disable=not self._visible
                )
            done = status.counts["normalised"]
            if status.progress:
                bar.total = round(status.counts["fetched"] / status.progress)
            bar.set_postfix_str(status.state)
            bar.update(done - bar.n)


def _search(injector: Injector) -> click.Command:
    @click.command("search")
    @click.argument("words", nargs=-1)
    @click.option("--index", type=click.Choice(list(INDICES)), default="dataset", show_default=True)
    @click.option("--type", "data_type", help="Only records of this type.")
    @click.option("--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="May be repeated.")
    @click.option("--sort", help="A field, or -field for descending.")
    @click.option("--hits", default=20, show_default=True)
    @click.option("--json", "as_json", is_flag=True, help="One record per line as JSON.")
    def search(
        words: Sequence[str],
        index: str,
        data_type: str | None,
        filters: Sequence[str],
        sort: str | None,
        hits: int,
        as_json: bool,
    ) -> None:
        """Search the released records for all of WORDS."""
        bad = next((item for item in filters if not item.partition("=")[2]), None)
        if bad is not None:
            raise click.BadParameter(f"--filter {bad!r}: FIELD=VALUE is allowed")
        pairs = [(name, value) for name, _, value in (item.partition("=") for item in filters)]
        arguments = arguments_of_query_string(index, pairs) | {
            "query": " ".join(words),
            "data_type": data_type,
        }
        query = parse_search_args(index, arguments | {"sort": sort, "hits": hits})
        page = injector.get(SearchService).search(query)
        for document in page.documents:
            if as_json:
                click.echo(document.body)
            else:
                record = document.parsed()
                place = " ".join(filter(None, [record["region"], *record["secondary_region"]]))
                click.echo(f"{record['source_id']:<28} {record['type']:<18} {record['name']:<40} {place}")
        click.echo(f"{page.total} records", err=True)

    return _guarded(search)


def _sources(injector: Injector) -> click.Command:
    @click.command("sources")
    @click.option("--json", "as_json", is_flag=True, help="As `GET /sources` answers.")
    @click.option(
        "--quarantine", metavar="SOURCE", help="The items that did not become records, with reasons."
    )
    def sources(as_json: bool, quarantine: str | None) -> None:
        """Show every source with its state."""
        service = injector.get(SourceService)
        if quarantine:
            for item in service.quarantine(quarantine, 1_000_000):
                click.echo(f"{item.id}\t{item.reason}")
            return
        for status in service.all():
            click.echo(orjson.dumps(status) if as_json else _line(status))

    return _guarded(sources)


def _line(status: SourceStatus) -> str:
    counts = status.counts
    text = (
        f"{status.key:<14} {status.state:<9} released {counts['released']}, fetched {counts['fetched']}, "
        f"quarantined {counts['quarantined']}"
    )
    return f"{text}: {status.error}" if status.error else text


def _config(settings: Listing) -> click.Command:
    @click.command("config")
    def config() -> None:
        """Print the effective settings and where each one came from; secrets are hidden."""
        for key, value, origin in settings():
            click.echo(f"{key} = {value}  # {origin}")

    return config


def _version(injector: Injector) -> click.Command:
    @click.command("version")
    def version() -> None:
        """Print the version."""
        click.echo(injector.get(Identity).version)

    return version


def _refresher(injector: Injector) -> click.Command:
    @click.command("refresher")
    @click.option("--parent", type=int, help="End when the process with this id is no longer our parent.")
    def refresher(parent: int | None) -> None:
        """Refresh at the start and on schedule, until stopped. `make run` starts it beside the web server."""
        work = injector.get(Refresher)
        asked: list[int] = []  # no Event: its lock is not ours to take in a handler
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: asked.append(number))
        thread = threading.Thread(target=work.run, name="refresher", daemon=True)
        thread.start()
        while thread.is_alive() and not asked and (parent is None or os.getppid() == parent):
            time.sleep(0.2)
        work.stop()
        thread.join(STOP_S)
        sys.stderr.flush()
        os._exit(0 if not thread.is_alive() else 1)  # threads in a long commit are not waited for

    return refresher


def _guarded(command: click.Command) -> click.Command:
    """Show our errors as one line instead of a traceback."""
    callback = command.callback

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return callback(*args, **kwargs) if callback else None
        except HubError as error:
            raise click.ClickException(str(error)) from error

    command.callback = run
    return command
