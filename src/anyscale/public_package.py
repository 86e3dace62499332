"""A package that shows only its public names."""

import sys
from types import ModuleType


class _PublicPackage(ModuleType):
    """Python binds each submodule as a name of its package when it is imported: not here."""

    def __setattr__(self, name: str, value: object) -> None:
        if not isinstance(value, ModuleType) or name in self.__all__:
            super().__setattr__(name, value)


def show_only_public_names(package: str) -> None:
    """Make a package, which is being imported, hide the submodules that are not in `__all__`."""
    sys.modules[package].__class__ = _PublicPackage
