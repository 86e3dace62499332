"""The bases of the models: immutable records, most of which check the types of their fields."""

from math import isnan
from typing import Any, ClassVar, get_args

from msgspec import Struct, UnsetType, structs


def check_type(name: str, value: Any, *types: type) -> None:
    """Raise a `TypeError` that names a field, and not its value, which may be a password."""
    if not isinstance(value, types):
        named = (kind for kind in types if kind is not UnsetType)
        names = ("None" if kind is type(None) else kind.__name__ for kind in named)
        mend = ": leave out the empty cells of a table" if _is_nan(value) else ""
        raise TypeError(f"{name} must be {' or '.join(names)}, not {type(value).__name__}{mend}")


def _is_nan(value: object) -> bool:
    """Whether a value is what pandas has in an empty cell."""
    return isinstance(value, float) and isnan(value)


class Model(Struct, frozen=True, gc=False):
    """An immutable record that shows no secret. Types are checked by what builds it."""

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary representation of the model."""
        return structs.asdict(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the fields as `repr` and rich show them."""
        values = structs.asdict(self).items()
        return [(field, "***" if value and field in _SECRETS else value) for field, value in values]

    def __repr__(self) -> str:
        fields = ", ".join(f"{field}={value!r}" for field, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"


class CheckedModel(Model, frozen=True, gc=False):
    """A model that checks the types of its fields."""

    #: field -> the types of its annotation
    _TYPES: ClassVar[dict[str, tuple[type, ...]]] = {}

    def __init_subclass__(cls) -> None:
        own = {field: get_args(kind) or (kind,) for field, kind in cls.__annotations__.items()}
        cls._TYPES = cls._TYPES | own

    def __post_init__(self) -> None:
        """Check the types; convert a value of a subclass of str to str."""
        for field, types in self._TYPES.items():
            value = getattr(self, field)
            if type(value) in types:
                continue
            check_type(field, value, *types)
            if isinstance(value, str):  # a subclass, as numpy's, which JSON does not have
                structs.force_setattr(self, field, str.__str__(value))


#: the fields that `repr` hides
_SECRETS = ("password", "password_hash", "url", "client_secret")
