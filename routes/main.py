"""`/`, the terms page and the version: the front door."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, render_template, request

from helpers.records import INDICES
from routes.answers import json_answer

bp = Blueprint("main", __name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """What this hub says of itself."""

    name: str
    version: str
    swagger: bool


@bp.get("/")
def start(identity: Identity) -> Response:
    """Name, version and links; a small page for browsers."""
    links = {
        "sources": "/sources",
        "ready": "/health/ready",
        **{f"search_{index}": f"/search/{index}" for index in INDICES},
        **{f"filters_{index}": f"/filters/{index}" for index in INDICES},
        **({"documentation": "/apidocs/", "specification": "/swagger.json"} if identity.swagger else {}),
    }
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return Response(render_template("start.html", identity=identity, links=links), mimetype="text/html")
    return json_answer({"name": identity.name, "version": identity.version, "links": links})


@bp.get("/neuro_morpho/useterm.jsp")
def terms() -> Response:
    """The terms of NeuroMorpho.Org's data, in our words; the ancestor's front end shows this page."""
    return Response(render_template("terms.html"), mimetype="text/html")
