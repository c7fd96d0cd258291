"""Swagger UI at `/apidocs` and its specification at `/swagger.json`; nothing is asked of another host.

flasgger serves the Swagger UI that it bundles, with our page (templates/flasgger/index.html). The document is
ours: flasgger reads docstrings, which could not follow `helpers/records.py` and `helpers/fields.py`.
"""

from __future__ import annotations

from flasgger import Swagger
from flask import Flask, Response

from routes.answers import JSON
from routes.specification.document import document


def register_swagger(app: Flask, version: str = "0") -> None:
    """Serve the documentation; it is built when first asked for."""

    @app.get("/swagger.json", endpoint="specification")
    def specification() -> Response:
        return Response(document(version), mimetype=JSON)

    Swagger(
        app,
        config={
            "title": "Ammon: API",
            "headers": [],
            "specs": [],
            "static_url_path": "/flasgger_static",
            "specs_route": "/apidocs/",
        },
    )
