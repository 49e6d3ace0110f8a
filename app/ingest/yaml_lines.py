"""YAML whose mappings remember the line each key stands on; a key given twice is an error."""

from pathlib import Path
from typing import Any

import yaml

from app.errors import SeedInvalid

DEEPEST = 40
"""Levels of mappings and lists that a file may have, one within another; a record has five."""


class Lined(dict[str, Any]):
    """A mapping with the line of itself and of each of its keys."""

    line: int = 0
    lines: dict[str, int]

    def line_of(self, key: str) -> int:
        """Give the line a key stands on, or the mapping's own."""
        return self.lines.get(key, self.line)


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # several times as fast in C
    """The safe loader, with lines."""


def construct(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Lined:
    """Build a mapping and note its lines."""
    found = Lined()
    found.line = node.start_mark.line + 1
    found.lines = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is no word", key_node.start_mark)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
        found.lines[key] = line
    return found


Loader.yaml_implicit_resolvers = {  # dates stay text: the record's own check says what is wrong with one
    first: [(tag, shape) for tag, shape in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, construct)


def load(path: Path, shown: str) -> Lined:
    """Read a YAML file that holds a mapping. Raises SeedInvalid with the line."""
    try:
        text = path.read_text(encoding="utf-8")
        refuse_depth(text, shown)
        found = yaml.load(text, Loader)
    except UnicodeDecodeError as error:
        raise SeedInvalid(f"{shown}: it is not UTF-8") from error
    except yaml.reader.ReaderError as error:
        line = text[: text.index(chr(error.character))].count("\n") + 1
        raise SeedInvalid(f"{shown}:{line} the character U+{error.character:04X} is not allowed") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SeedInvalid(f"{shown}:{line} {error.problem}") from error
    if not isinstance(found, Lined):
        raise SeedInvalid(f"{shown}:1 the file holds no mapping of tables to records")
    return found


def refuse_depth(text: str, shown: str) -> None:
    """Refuse what is nested so deep that building it would exhaust the stack. Raises SeedInvalid, YAMLError."""
    depth = 0
    for event in yaml.parse(text, Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise SeedInvalid(f"{shown}:{line} nested deeper than {DEEPEST} levels")
