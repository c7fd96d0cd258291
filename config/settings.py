"""The settings of Ammon: frozen classes with every key, what it means, what is allowed and its default.

`config/loading.py` fills them from files and the environment; docs/configuration.md shows them as tables.
Constructed directly (`Settings(data_dir=...)`) they read nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from config.values import (
    NO_CONTACT,
    Bytes,
    Concurrency,
    Contact,
    Expected,
    ExpectedRange,
    FilePath,
    Headers,
    Host,
    LogLevel,
    Markers,
    Methods,
    Morphologies,
    Names,
    Origins,
    PlainUrl,
    Port,
    PublicUrl,
    Rate,
    RegionKey,
    Retries,
    Rule,
    Schedule,
    Seconds,
    ServerUrl,
    Switch,
    Threads,
    TimeZone,
    Workers,
)


class Frozen(BaseModel):
    """A group of keys: immutable, strict about unknown names, and silent about values in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)


# Keys of several sources, described once.
SourceSchedule = Annotated[
    Schedule,
    Field(description="when to refresh again after the refresh at start, in `timezone`"),
]
SourceRate = Annotated[Rate, Field(description="most requests per second; 0: no limit")]
SourceExpected = Annotated[
    ExpectedRange, Field(description="records of a healthy refresh; one with fewer or more is held back")
]
BaseUrl = Annotated[
    PlainUrl, Field(description="where the source's site begins, without the path of its API")
]


class SourceSettings(Frozen):
    """What every source has."""

    enabled: Annotated[
        Switch,
        Field(description="whether the source is refreshed; what it has released is served either way"),
    ] = True
    schedule: SourceSchedule = ""
    rate: SourceRate = 5.0
    concurrency: Annotated[Concurrency, Field(description="most requests under way at once")] = 2
    timeout_s: Annotated[
        Seconds, Field(description="seconds to wait for a connection and for each further piece of an answer")
    ] = 60.0
    retries: Annotated[
        Retries, Field(description="attempts after the first, on 429, 502, 503, 504 and broken connections")
    ] = 4
    expected: SourceExpected = Expected(0)
    tls: Annotated[
        Literal["default", "legacy"],
        Field(
            description="`legacy` accepts the weaker ciphers and keys of old servers (OpenSSL's SECLEVEL=1); "
            "certificates are verified either way"
        ),
        Rule("one of default, legacy"),
    ] = "default"


class Allowed(Frozen):
    """What the comma-separated items of one field must hold and must not hold, case ignored."""

    allowed: Annotated[Names, Field(description="items that must all be there")] = ()
    not_allowed: Annotated[Names, Field(description="items of which none may be there")] = ()

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        both = {item.casefold() for item in self.allowed} & {item.casefold() for item in self.not_allowed}
        if both:
            raise ValueError(f"{', '.join(sorted(both))} cannot be both demanded and forbidden")
        return self


class NeuroMorphoSettings(SourceSettings):
    """NeuroMorpho.Org: morphologies."""

    base_url: BaseUrl = "https://neuromorpho.org"
    schedule: SourceSchedule = "17 2 * * sun"
    expected: SourceExpected = Expected(5_000, 400_000)
    brain_regions: Annotated[
        Names, Field(description="brain regions whose neurons are taken; an empty list means all regions")
    ] = ("hippocampus",)
    domains: Allowed = Field(default_factory=Allowed, description="the field `domain`")
    attributes: Allowed = Field(default_factory=Allowed, description="the field `attributes`")
    physical_integrities: Allowed = Field(
        default_factory=Allowed, description="the field `physical_Integrity`"
    )


def _code(length: int) -> StringConstraints:
    return StringConstraints(pattern=rf"^[01?]{{{length}}}$")


def _signs(length: int) -> Rule:
    return Rule(f"a text of {length} signs out of 0, 1 and ?")


class Layers(Frozen):
    """Where a neuron type must lie, a sign for each layer of a subregion: 1 present, 0 absent, ? either.

    A type is taken when it meets any of the codes that restrict anything.
    """

    DG: Annotated[str, _code(4), Field(description="layers SMo, SMi, SG, H"), _signs(4)] = "????"
    CA3: Annotated[str, _code(5), Field(description="layers SLM, SR, SL, SP, SO"), _signs(5)] = "?????"
    CA2: Annotated[str, _code(4), Field(description="layers SLM, SR, SP, SO"), _signs(4)] = "????"
    CA1: Annotated[str, _code(4), Field(description="layers SLM, SR, SP, SO"), _signs(4)] = "????"
    SUB: Annotated[str, _code(3), Field(description="layers SM, SP, PL"), _signs(3)] = "???"
    EC: Annotated[str, _code(6), Field(description="layers I, II, III, IV, V, VI"), _signs(6)] = "??????"

    def patterns(self) -> dict[str, str]:
        """The code of every subregion, in the order of the fields."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class HippocampomeSettings(SourceSettings):
    """Hippocampome.org: neuron types and their connections."""

    base_url: BaseUrl = "http://hippocampome.org"
    schedule: SourceSchedule = "17 3 * * sun"
    rate: SourceRate = 2.0
    expected: SourceExpected = Expected(50, 100_000)
    morphologies: Annotated[
        Morphologies,
        Field(description="parts of which any must lie as `layers` say; an empty list: all three"),
    ] = ("Axons", "Dendrites", "Soma")
    layers: Layers = Field(default_factory=Layers)
    markers: Annotated[
        Markers,
        Field(
            description="markers of which any must be expressed, positively or mixed; an empty list: any type"
        ),
    ] = ()


class ModelDBSettings(SourceSettings):
    """ModelDB: computational models."""

    base_url: BaseUrl = "https://modeldb.science"
    schedule: SourceSchedule = "17 4 * * sun"
    rate: SourceRate = 4.0
    expected: SourceExpected = Expected(50, 10_000)
    region_key: Annotated[
        RegionKey,
        Field(description="region that a model's neurons, region, name or notes must name; `*`: every model"),
    ] = "hippocampus"


class InternalSettings(SourceSettings):
    """The lab's own files."""

    schedule: SourceSchedule = "*/15 * * * *"
    folder: Annotated[FilePath, Field(description="folder of the tables and files")] = Path("data/internal")


class ElasticsearchSettings(Frozen):
    """The production engine."""

    url: Annotated[
        ServerUrl,
        Field(description="address of the cluster, with user and password if it asks for them", repr=False),
    ] = "http://127.0.0.1:9200"


class CORSSettings(Frozen):
    """What pages of other sites may ask from a browser."""

    origins: Annotated[
        Origins, Field(description="sites whose pages may ask; `*` for all, an empty list for none")
    ] = ("*",)
    methods: Annotated[Methods, Field(description="HTTP methods that they may use")] = (
        "GET",
        "HEAD",
        "POST",
        "OPTIONS",
    )
    headers: Annotated[Headers, Field(description="request headers that they may send")] = (
        "Accept",
        "Authorization",
        "Content-Type",
        "If-None-Match",
        "X-Requested-With",
    )


class Settings(Frozen):
    """Everything that Ammon can be told. Only `app.py` reads it; classes receive the values they need."""

    host: Annotated[Host, Field(description="address to listen on; 0.0.0.0 and :: are all addresses")] = (
        "127.0.0.1"
    )
    port: Annotated[Port, Field(description="TCP port to listen on")] = 8000
    public_url: Annotated[PublicUrl, Field(description="URL under which browsers reach this server")] = None
    data_dir: Annotated[FilePath, Field(description="folder of everything that Ammon writes")] = Path("var")
    storage: Annotated[
        Literal["embedded", "elasticsearch"],
        Field(description="search engine: within the process, or an Elasticsearch cluster"),
        Rule("one of embedded, elasticsearch"),
    ] = "embedded"
    elasticsearch: ElasticsearchSettings = Field(default_factory=ElasticsearchSettings)
    contact: Annotated[
        Contact, Field(description="whom a source can write to; stands in the User-Agent of every request")
    ] = NO_CONTACT
    allow_private_upstreams: Annotated[
        Switch,
        Field(description="whether sources and their files may lie on loopback and private addresses"),
    ] = False
    workers: Workers = Field(default_factory=lambda: min(2, os.cpu_count() or 1), description="web processes")
    threads: Annotated[
        Threads, Field(description="threads of each web process; downloads take at most half of them")
    ] = 8
    timezone: Annotated[TimeZone, Field(description="time zone of the schedules")] = "UTC"
    log_level: Annotated[LogLevel, Field(description="what is logged, and everything graver")] = "INFO"
    swagger: Annotated[Switch, Field(description="whether /apidocs and /swagger.json are served")] = True
    max_body_bytes: Annotated[Bytes, Field(description="largest body of a request")] = 4 * 1024 * 1024
    max_download_bytes: Annotated[Bytes, Field(description="largest file that a download fetches")] = (
        512 * 1024 * 1024
    )
    cors: CORSSettings = Field(default_factory=CORSSettings)
    neuromorpho: NeuroMorphoSettings = Field(default_factory=NeuroMorphoSettings)
    hippocampome: HippocampomeSettings = Field(default_factory=HippocampomeSettings)
    modeldb: ModelDBSettings = Field(default_factory=ModelDBSettings)
    internal: InternalSettings = Field(default_factory=InternalSettings)

    @property
    def effective_public_url(self) -> str:
        """`public_url`, or else where a browser on this machine reaches the server; no slash at the end."""
        if self.public_url is not None:
            return self.public_url
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - read, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def source(self, key: str) -> SourceSettings:
        """The section of the source with this key. Raises `KeyError`."""
        if key not in SOURCES:
            raise KeyError(key)
        section: SourceSettings = getattr(self, key)
        return section


SOURCES: tuple[str, ...] = tuple(
    name
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, SourceSettings)
)
