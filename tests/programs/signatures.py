"""What PyPI's linksocks exports, as the package here has it, in one line of JSON: public names and their parameters.

A parameter is its name, its kind and its default. A property has none; a method has `self`.
"""

import inspect
import json
from typing import Any

import linksocks

CLASSES = ["Server", "Client", "AccessRule", "ReverseTokenResult"]
FUNCTIONS = ["set_log_level"]


def parameters(value: Any) -> dict[str, list[str]]:
    if not callable(value):
        return {}
    return {
        each.name: [each.kind.name, "required" if each.default is each.empty else repr(each.default)]
        for each in inspect.signature(value).parameters.values()
    }


found = {name: parameters(getattr(linksocks, name)) for name in FUNCTIONS}
for name in CLASSES:
    kind = getattr(linksocks, name)
    public = [member for member in dir(kind) if not member.startswith("_")]
    found |= {f"{name}.{member}": parameters(getattr(kind, member)) for member in ["__init__", *public]}
print(json.dumps(found))
