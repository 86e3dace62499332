"""Labels of batches: how people recognize a batch, such as by the name of its file."""

from anyscale.domain.characters import INVISIBLE, is_visible
from anyscale.errors import ConfigError

#: characters of a label
_MOST = 200


def checked_label(label: str | None) -> str | None:
    """Return a label; None stands for none.

    Raises:
        ConfigError: it is empty or too long, or has characters that cannot be seen, or blanks
            around it.
    """
    if label is None:
        return None
    if not label:
        raise ConfigError("a label cannot be empty: leave it out for the name of the file, if any")
    if len(label) > _MOST or not is_visible(label):
        raise ConfigError(
            f"a label has at most {_MOST} visible characters, without blanks around it"
        )
    return label


def label_of_file(path: str) -> str | None:
    """Return the name of a file as a label: what a label may not have is left out."""
    name = INVISIBLE.sub("", path.rpartition("/")[2])
    visible = "".join(filter(str.isprintable, name)).strip()
    return visible[:_MOST].strip() or None
