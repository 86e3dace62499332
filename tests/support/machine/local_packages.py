"""Lock files whose packages are those of this environment: pip installs them without a network.

A lock file of the checkout is replaced by one of a single wheel. The wheel has a `.pth` file, which
names a folder with the packages that the lock file lists, and no others.
"""

import base64
import hashlib
import re
import sysconfig
import zipfile
from importlib.metadata import distributions
from pathlib import Path

PACKAGES = Path(sysconfig.get_paths()["purelib"])


def replace_lock(lock: Path, folder: Path, packages: str, wheels: Path) -> None:
    """Replace a lock file.

    Args:
        lock: a file as pip reads it.
        folder: to be created, for links to the packages.
        packages: the path of `PACKAGES` and of `folder`'s parent on the machine that installs them.
        wheels: the folder for the wheel.
    """
    text = lock.read_text(encoding="utf-8")
    names = {normal(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    folder.mkdir()
    for entry in sorted(_entries(names)):
        (folder / entry).symlink_to(f"{packages}/all/{entry}")
    name = f"local_{lock.stem}"
    wheel = wheels / f"{name}-1-py3-none-any.whl"
    _write_wheel(wheel, name, f"{packages}/{folder.name}\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock.write_text(f"{name}==1 --hash=sha256:{digest}\n", encoding="utf-8")


def normal(name: str) -> str:
    """Return the name of a distribution as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _entries(names: set[str]) -> set[str]:
    """Give the files and folders of some distributions, in the folder of packages."""
    found = [one for one in distributions(path=[str(PACKAGES)]) if normal(one.name) in names]
    return {file.parts[0] for one in found for file in one.files or () if file.parts[0] != ".."}


def _write_wheel(path: Path, name: str, line: str) -> None:
    info = f"{name}-1.dist-info"
    files = {
        f"{name}.pth": line,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        hashes = {file: hashlib.sha256(text.encode()).digest() for file, text in files.items()}
        lines = [
            f"{file},sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')},"
            for file, digest in hashes.items()
        ]
        wheel.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,\n"]))
