"""The composition root: settings in, a wired application out. Nothing else wires.

`create_app()` is what gunicorn (`app:create_app()`) and `flask --app app` call. Importing does nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from flask import Flask
from flask_injector import FlaskInjector
from injector import Injector, Module, provider, singleton

from config.loading import ConfigError, describe, load
from config.settings import InternalSettings, Settings, SourceSettings
from config.values import PROJECT_ROOT
from config.version import read_version
from helpers.download import DownloadGate, FileFetcher
from helpers.errors import BadConfiguration
from helpers.http import HTTPClient, Politeness
from helpers.providers import PROVIDERS
from helpers.providers.base import Provider
from helpers.providers.internal_folder import declared_hosts, local_file
from helpers.state import SQLiteState, State
from helpers.storage.base import Storage
from helpers.storage.embedded import EmbeddedStorage
from routes import download, filters, main, search, sources
from routes.commands import register_commands
from routes.errors import register_errors
from routes.hooks import Cors, register_hooks
from routes.main import Identity
from routes.swagger import register_swagger
from services.files import OwnFiles
from services.refresh import Expectation, Sources
from services.refresher import Schedules
from services.sources import Catalogue

FILES_AT_ONCE = 8  # of one download, and of all downloads from one source
FILE_RATE = 4  # files are static: so many times as often as the API


class AmmonModule(Module):
    """How every injectable part is made from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._version = read_version(PROJECT_ROOT)

    def _sections(self) -> dict[str, SourceSettings]:
        return {key: self._settings.source(key) for key in PROVIDERS}

    def _client(self, key: str, section: SourceSettings, *, files: bool = False) -> HTTPClient:
        """The client of a source: for its API, or for files in downloads."""
        base = urlsplit(getattr(section, "base_url", "")).hostname
        hosts = PROVIDERS[key].about.hosts | ({base} if base else set())
        if isinstance(section, InternalSettings):
            hosts |= declared_hosts(section.folder)
        return HTTPClient(
            f"Ammon/{self._version} ({self._settings.contact})",
            Politeness(
                rate=section.rate * (FILE_RATE if files else 1),
                concurrency=FILES_AT_ONCE if files else section.concurrency,
                timeout_s=section.timeout_s,
                retries=section.retries,
                legacy_tls=section.tls == "legacy",
                allow_private=self._settings.allow_private_upstreams,
                hosts=frozenset(hosts),
            ),
        )

    def _provider(self, key: str, section: SourceSettings) -> Provider:
        own = section.model_dump(exclude={*SourceSettings.model_fields, "base_url"})
        build: Callable[..., Provider] = PROVIDERS[key]
        if isinstance(section, InternalSettings):
            return build(public_url=self._settings.effective_public_url, **own)
        return build(self._client(key, section), getattr(section, "base_url", ""), **own)

    @provider
    @singleton
    def storage(self) -> Storage:
        """The engine that the settings name."""
        if self._settings.storage == "elasticsearch":
            return elastic_storage(self._settings.elasticsearch.url, self._settings.threads)
        return EmbeddedStorage(self._settings.data_dir / "embedded")

    @provider
    @singleton
    def state(self) -> State:
        """What processes share."""
        return SQLiteState(self._settings.data_dir / "state.sqlite")

    @provider
    @singleton
    def catalogue(self) -> Catalogue:
        """Every source that this hub knows."""
        return Catalogue(
            abouts={key: made.about for key, made in PROVIDERS.items()},
            enabled=frozenset(key for key, section in self._sections().items() if section.enabled),
            quarantine=self._settings.data_dir / "quarantine",
        )

    @provider
    @singleton
    def sources(self) -> Sources:
        """The enabled providers."""
        enabled = {key: section for key, section in self._sections().items() if section.enabled}
        return Sources(
            providers={key: self._provider(key, section) for key, section in enabled.items()},
            expectations={
                key: Expectation(section.expected.minimum, section.expected.maximum)
                for key, section in enabled.items()
            },
            folder=self._settings.data_dir,
        )

    @provider
    @singleton
    def schedules(self) -> Schedules:
        """When each source is refreshed."""
        crontabs = {key: section.schedule for key, section in self._sections().items()}
        return Schedules(crontabs=crontabs, timezone=self._settings.timezone)

    @provider
    @singleton
    def fetcher(self, own: OwnFiles) -> FileFetcher:
        """What downloads fetch files with: one client per source, for its declared hosts."""
        clients = {key: self._client(key, section, files=True) for key, section in self._sections().items()}
        return FileFetcher(clients, own.find, max_bytes=self._settings.max_download_bytes)

    @provider
    @singleton
    def gate(self) -> DownloadGate:
        """Downloads take at most half the threads of a process."""
        return DownloadGate(max(1, self._settings.threads // 2))

    @provider
    @singleton
    def own_files(self) -> OwnFiles:
        """The internal source's files."""
        internal: InternalSettings = self._settings.internal
        return OwnFiles(lambda name: local_file(internal.folder, name))

    @provider
    @singleton
    def identity(self) -> Identity:
        """What the hub says of itself."""
        return Identity(name="Ammon", version=self._version, swagger=self._settings.swagger)


def create_app(settings: Settings | None = None, *overrides: Module) -> Flask:
    """The wired application. Without settings they are read from files and the environment.

    `overrides` are Injector modules whose bindings replace ours: how tests bring fakes. What is wrong in
    the configuration ends the process with one line for each wrong key.
    """
    if settings is None:
        settings = read_settings()
    configure_logging(settings.log_level)
    app = Flask("ammon", root_path=str(PROJECT_ROOT), static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    for module in (main, search, filters, download, sources):
        app.register_blueprint(module.bp)
    if settings.swagger:
        register_swagger(app, read_version(PROJECT_ROOT))
    injector = Injector([AmmonModule(settings), *overrides], auto_bind=True)
    for part in (Storage, Sources):  # made at once, so that what cannot be made stops the start
        try:
            injector.get(part)
        except BadConfiguration as error:
            raise SystemExit(f"Ammon cannot start, the configuration is wrong:\n{error}") from error
    register_commands(app, injector, lambda: describe(load(os.environ)))
    FlaskInjector(app=app, injector=injector)  # after all views: later ones are not injected
    register_errors(app)  # these need nothing injected, and would be inspected at every request
    register_hooks(app, Cors(settings.cors.origins, settings.cors.methods, settings.cors.headers))
    return app


def elastic_storage(url: str, threads: int) -> Storage:
    """The Elasticsearch engine; user and password may stand in the URL."""
    # The client takes a quarter of a second to import, which the embedded engine need not pay.
    from helpers.storage.elastic import ElasticOptions, ElasticStorage  # noqa: PLC0415

    parts = urlsplit(url)
    options = ElasticOptions(
        urls=(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        connections=2 * threads,
    )
    return ElasticStorage(options)


def read_settings() -> Settings:
    """The settings of this installation, or the end of the process with what is wrong in them."""
    try:
        return load(os.environ).settings
    except ConfigError as error:
        raise SystemExit(f"Ammon cannot start, the configuration is wrong:\n{error}") from error


def configure_logging(level: str) -> None:
    """Our own log lines to standard error; other libraries from warnings on."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("ammon", "config", "helpers", "services", "routes"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [handler]
        logger.propagate = False
