"""Makes a wheel of pure Python modules, without a build tool: a copy for students is made offline, and always the same.

A wheel is a zip: the modules, and a folder of metadata (packaging.python.org, «Binary distribution format»).
"""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TIME = (2020, 1, 1, 0, 0, 0)
"""Of every file within, so that equal contents make equal wheels."""


@dataclass(frozen=True)
class Metadata:
    """What pip asks of a wheel."""

    name: str
    version: str
    summary: str
    python: str
    """As `>=3.11`."""
    requires: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    """Commands: `scheduler` → `scheduler.cli:main`."""

    @property
    def stem(self) -> str:
        """`scheduler_reference-0.1.0`."""
        return f"{self.name.replace('-', '_')}-{self.version}"

    @property
    def file(self) -> str:
        """The wheel's own name."""
        return f"{self.stem}-py3-none-any.whl"


def write(folder: Path, metadata: Metadata, files: Mapping[str, bytes]) -> Path:
    """Write the wheel into a folder, and return its path. `files` are by their paths in site-packages."""
    info = f"{metadata.stem}.dist-info"
    everything = {
        **files,
        f"{info}/METADATA": _metadata(metadata).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: workbook\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if metadata.scripts:
        lines = [f"{command} = {function}\n" for command, function in metadata.scripts.items()]
        everything[f"{info}/entry_points.txt"] = ("[console_scripts]\n" + "".join(lines)).encode()
    record = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in everything.items()]
    everything[f"{info}/RECORD"] = ("".join(record) + f"{info}/RECORD,,\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / metadata.file
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in everything.items():
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, content)
    return path


def _metadata(metadata: Metadata) -> str:
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {metadata.name}",
        f"Version: {metadata.version}",
        f"Summary: {metadata.summary}",
        f"Requires-Python: {metadata.python}",
        *(f"Requires-Dist: {one}" for one in metadata.requires),
    ]
    return "\n".join(lines) + "\n"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
