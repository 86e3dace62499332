"""Changes of the code that cosmic-ray has not: its plugin, in the environment of cosmic-ray."""

from collections.abc import Iterable, Iterator

import parso
from cosmic_ray.operators.operator import Example, Operator
from parso.tree import NodeOrLeaf

#: types of statements: imports, docstrings, `pass`, `...` and the like
_KEPT = {"import_name", "import_from", "string", "keyword", "operator", "global_stmt"}


class RemoveStatement(Operator):
    """Removes a statement of a function: a call, an assignment, a `return` or a `raise`.

    Such a change found the most serious holes: a failure that is not counted, a lock that is not
    taken, an audit entry that is not written.
    """

    def mutation_positions(
        self, node: NodeOrLeaf
    ) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        is_statement = node.type == "simple_stmt" and node.children[0].type not in _KEPT
        if is_statement and parso.tree.search_ancestor(node, "funcdef"):
            yield node.start_pos, node.end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:  # noqa: ARG002 - the base class has it
        node.children[0] = parso.parse(f"{node.get_first_leaf().prefix}pass")
        return node

    @classmethod
    def examples(cls) -> Iterable[Example]:
        return (Example("def f():\n    g()\n", "def f():\n    pass\n"),)


def operators() -> dict[str, type[Operator]]:
    """Return the operators by name."""
    return {"RemoveStatement": RemoveStatement}
