"""Schemas of the records: pydantic's JSON Schema (draft 2020-12) in the words of OpenAPI 3.0.3.

The differences that matter are in https://spec.openapis.org/oas/v3.0.3#schema-object: no type `null` but
`nullable`, no `const`, nothing beside a `$ref`, boolean exclusive bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from helpers.records import INDICES, type_name

Json = dict[str, Any]
Schema = Mapping[str, Any]

REFERENCE: Final = "#/components/schemas/"
SAME: Final = frozenset(  # words that say the same in both
    {"type", "enum", "format", "description", "pattern", "deprecated", "uniqueItems"}
    | {"minLength", "maxLength", "minimum", "maximum", "multipleOf", "minItems", "maxItems"}
    | {"minProperties", "maxProperties"}
)
# A title repeats the name, a default is a matter of what is stored. Further properties are left open: a
# client must not break when a later version says more.
LEFT_OUT: Final = frozenset({"title", "default", "required"})


def reference(name: str) -> Json:
    """A pointer to a schema of the components."""
    return {"$ref": REFERENCE + name}


def record_schemas() -> Json:
    """Every record class and what it is made of by name, and `Record`: any of the records."""
    classes = [record_class for classes in INDICES.values() for record_class in classes]
    _, found = models_json_schema(
        [(record_class, "serialization") for record_class in classes], ref_template=REFERENCE + "{model}"
    )
    definitions = found["$defs"]
    converted = {name: to_openapi(definition, definitions) for name, definition in definitions.items()}
    named = repr(converted)  # what is only written out is not listed once more
    parts = {name: schema for name, schema in converted.items() if f"'{REFERENCE}{name}'" in named}
    return {
        "Record": {
            "description": "One record; `type` says which kind.",
            "oneOf": [reference(record_class.__name__) for record_class in classes],
            "discriminator": {
                "propertyName": "type",
                "mapping": {type_name(each): REFERENCE + each.__name__ for each in classes},
            },
        },
        **{each.__name__: converted[each.__name__] for each in classes},
        **parts,
    }


def to_openapi(schema: Schema, definitions: Mapping[str, Schema]) -> Json:
    """A schema of draft 2020-12 as OpenAPI 3.0 words it. Raises `ValueError` for what it has no word for."""
    if "anyOf" in schema:
        return _union(schema, definitions)
    if "$ref" in schema:
        said = {word: schema[word] for word in schema if word == "description"}
        return {"allOf": [{"$ref": schema["$ref"]}], **said} if said else {"$ref": schema["$ref"]}
    converted: Json = {}
    for word, value in schema.items():
        if word not in LEFT_OUT:
            converted |= _word(word, value, definitions)
    return converted


def _word(word: str, value: Any, definitions: Mapping[str, Schema]) -> Json:
    converted: Json
    match word, value:
        case _ if word in SAME:
            converted = {word: value}
        case "const", _:
            converted = {"enum": [value]}
        case "examples", _:
            converted = {"example": value[0]}
        case "additionalProperties", bool():
            converted = {word: True} if value else {}
        case (("items" | "additionalProperties"), _):
            converted = {word: to_openapi(value, definitions)}
        case "properties", _:
            fields = {name: _property(name, each, definitions) for name, each in value.items()}
            converted = {"required": [*fields], word: fields}  # records are stored whole, nulls too
        case (("exclusiveMinimum" | "exclusiveMaximum"), _):
            converted = {word.replace("exclusiveM", "m"): value, word: True}
        case _:
            raise ValueError(f"OpenAPI 3.0 has no word for {word!r}: {value!r}")
    return converted


def _property(name: str, schema: Schema, definitions: Mapping[str, Schema]) -> Json:
    """A field with its description; one without is described by its name."""
    converted = to_openapi(schema, definitions)
    return converted if "$ref" in converted else {"description": name.replace("_", " "), **converted}


def _union(schema: Schema, definitions: Mapping[str, Schema]) -> Json:
    """Alternatives, of which `null` is no type but a property of the others."""
    around = {word: value for word, value in schema.items() if word != "anyOf"}
    options = [option for option in schema["anyOf"] if option.get("type") != "null"]
    converted = [to_openapi(option, definitions) for option in options]
    if len(options) < len(schema["anyOf"]):
        converted = [_nullable(option, definitions) for option in converted]
    rest = to_openapi(around, definitions)
    return {**converted[0], **rest} if len(converted) == 1 else {"anyOf": converted, **rest}


def _nullable(schema: Json, definitions: Mapping[str, Schema]) -> Json:
    """The same or null. `nullable` counts only beside a `type`, so a reference is written out."""
    if "$ref" in schema:
        schema = to_openapi(definitions[schema["$ref"].removeprefix(REFERENCE)], definitions)
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **enum, "nullable": True}
