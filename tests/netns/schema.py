"""Owns the comparison of JSON with a JSON Schema, as far as the schemas in docs/ use it.

A keyword that it does not know is an error, so that nothing of a schema goes unheeded.
"""

from __future__ import annotations

from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}
ABOUT = {"$schema", "$defs", "title", "description"}


def differences(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = "") -> list[str]:
    """What in a value is not as the schema says, each with its place."""
    root = schema if root is None else root
    found: list[str] = []
    for keyword, said in schema.items():
        if keyword == "$ref":
            found += differences(value, root["$defs"][said.removeprefix("#/$defs/")], root, at)
        elif keyword == "type":
            kinds = said if isinstance(said, list) else [said]
            is_one = any(isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool) for kind in kinds)
            found += [] if is_one else [f"{at}: {value!r} is none of {kinds}"]
        elif keyword == "enum":
            found += [] if value in said else [f"{at}: {value!r} is none of {said}"]
        elif keyword == "minimum":
            found += [] if value is None or value >= said else [f"{at}: {value!r} is less than {said}"]
        elif keyword == "maximum":
            found += [] if value is None or value <= said else [f"{at}: {value!r} is more than {said}"]
        elif keyword == "anyOf":
            found += [] if any(not differences(value, one, root, at) for one in said) else [f"{at}: {value!r}"]
        elif keyword == "required":
            found += [f"{at}: no {key}" for key in said if isinstance(value, dict) and key not in value]
        elif keyword == "additionalProperties":
            known = schema["properties"]
            found += [f"{at}: {key}" for key in value if key not in known] if isinstance(value, dict) else []
        elif keyword == "properties":
            for key, one in said.items():
                if isinstance(value, dict) and key in value:
                    found += differences(value[key], one, root, f"{at}/{key}")
        elif keyword == "items":
            for number, item in enumerate(value if isinstance(value, list) else []):
                found += differences(item, said, root, f"{at}/{number}")
        elif keyword not in ABOUT:
            raise ValueError(f"{keyword} of a schema is not known here")
    return found
