"""Swagger UI at `/apidocs` and its specification at `/swagger.json`; nothing is asked of another host."""

from __future__ import annotations

from flasgger import Swagger
from flask import Flask


def register_swagger(app: Flask) -> None:
    """Serve the documentation."""
    Swagger(
        app,
        config={
            "headers": [],
            "openapi": "3.0.3",
            "specs": [{"endpoint": "swagger", "route": "/swagger.json"}],
            "static_url_path": "/flasgger_static",
            "specs_route": "/apidocs/",
        },
        template={"info": {"title": "Ammon", "version": "0"}},
    )
