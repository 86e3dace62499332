"""No module imports itself by way of others."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

import grimp


def circle_in(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle of modules, each imported by the next one; an empty list if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def imports_of_the_package() -> dict[str, set[str]]:
    """Which modules each module imports: at its top, in functions and for type checkers."""
    graph = grimp.build_graph("anyscale", cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = imports_of_the_package()

    assert len(imports) > 100
    assert circle_in(imports) == []
