"""The whole document: built once per process, when it is first asked for."""

from __future__ import annotations

from functools import cache
from typing import Final

import orjson

from helpers.search_args import MAX_HITS, MAX_IDS, MAX_TEXT
from routes.arguments import MAX_REQUEST_LINE
from routes.specification import answers, arguments
from routes.specification.paths import TAGS, paths
from routes.specification.schemas import Json, record_schemas
from routes.specification.vocabulary import Vocabulary

OPENAPI: Final = "3.0.3"  # the newest that the bundled Swagger UI (3.28) shows

DESCRIPTION: Final = f"""
Ammon gathers neuron data from several sources and answers from what it has released, so that a source that is
down takes nothing away. It holds two indices:

* `dataset`: reconstructed **morphologies** (NeuroMorpho.Org and the lab's own), **electrophysiology** of
  neuron types and traces, and **connections** between neuron types (Hippocampome.org and the lab's own);
* `model`: computational **models** (ModelDB and the lab's own).

A search takes words, filters (any value within one, all of them together), a type and ids; without any of
them it finds everything. Names of fields say their unit (`length_um`). What a source does not say is `null`
or an empty list, never a zero.

**Errors** are `application/problem+json` (RFC 9457); `detail` names the value and what is allowed. A method
that a path does not have is answered 405 with `Allow`, an unknown path 404, a failure of Ammon itself 500.
Every answer carries `X-Request-ID`, which the log has too; a request may bring its own.

**Limits:** {MAX_TEXT:,} characters of words and of a filter's value, {MAX_HITS:,} records on a page,
{MAX_IDS:,} ids, {MAX_REQUEST_LINE:,} bytes of path and query string; longer requests go by POST. Downloads
take at most half of the threads.

The examples work on the example records of the source `internal`.
""".strip()


@cache
def document(version: str) -> bytes:
    """The document as JSON, for this version of Ammon."""
    return orjson.dumps(build(version, Vocabulary()))


def build(version: str, known: Vocabulary) -> Json:
    """The document as Python values."""
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Ammon",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "url": "https://opensource.org/licenses/MIT"},
        },
        "servers": [{"url": "/", "description": "this hub"}],
        "tags": [{"name": name, "description": said} for name, said in TAGS.items()],
        "paths": paths(known),
        "components": {
            "schemas": {**record_schemas(), **answers.schemas(), **arguments.schemas(known)},
            "parameters": arguments.parameters(known),
            "responses": answers.responses(),
            "headers": answers.headers(),
        },
    }
