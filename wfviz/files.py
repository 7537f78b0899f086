"""Files that are whole or not there: written under another name, flushed to the disk, then renamed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from wfviz.errors import WfvizError

_UMASK = os.umask(0o022)  # can only be read by setting it
os.umask(_UMASK)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """No other process of this user writes to `folder` meanwhile; WfvizError where one does. Of a group of processes the first one asks."""
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    with open(Path(tempfile.gettempdir()) / f"wfviz-{os.getuid()}-{name}.lock", "w") as lock:  # not in the folder, which may never come to be
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WfvizError(f"another process is writing to {folder}; wait for it, or choose another --out") from None
        yield


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """`write(temporary path)`, fsync, rename to `path`; on any error the old file stays and nothing is left."""
    if path.is_dir():
        raise WfvizError(f"{path} is a folder; name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        os.replace(temporary, path)
    except SafetensorError as error:  # its own, for a full disk and a folder that may not be written to
        raise WfvizError(f"{path} cannot be written: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object, indent: int | None = 1) -> None:
    """Whole or not there; `indent` None writes one long line without blanks, for what is large."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def sha256(path: Path) -> str:
    """Digest of a file's content, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
