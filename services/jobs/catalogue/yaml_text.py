"""YAML without its surprises: every value is text, and no key may be written twice."""

from collections.abc import Iterator

import yaml

from services.jobs.catalogue.problems import CatalogueError, Problem, place_of


def parse_yaml(text: str) -> object:
    """Returns what a text says. Raises CatalogueError, also for a key that is written twice: YAML would drop the first."""
    # Every value stays text, so that no ratio becomes a number in base 60 and no cost a float.
    loader = yaml.BaseLoader(text)
    try:
        root = loader.get_single_node()
        twice = [] if root is None else list(_written_twice(root, (), set()))
        if twice:
            raise CatalogueError(twice)
        return None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "file" if mark is None else f"line {mark.line + 1}"
        raise CatalogueError([Problem(place, f"is not YAML: {error.problem}", "correct it")]) from error
    except RecursionError as error:
        raise CatalogueError([Problem("file", "is nested too deeply", "write fewer levels")]) from error
    except yaml.YAMLError as error:
        raise CatalogueError([Problem("file", f"is not YAML: {error}", "correct it")]) from error
    finally:
        loader.dispose()


def _written_twice(node: yaml.Node, at: tuple[str, ...], seen: set[int]) -> Iterator[Problem]:
    if id(node) in seen:  # an alias; what it stands for was looked at
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _written_twice(item, (*at, str(index)), seen)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            place = (*at, name)
            if name in lines:
                what = f"is written twice, in lines {lines[name]} and {line}"
                yield Problem(place_of(place), what, "keep one, or give the other another name")
            lines.setdefault(name, line)
            yield from _written_twice(value, place, seen)
