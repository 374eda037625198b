"""gs:// as a folder: `gs://bucket/object` is the file `<root>/bucket/object`, with the behaviour of an object store."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from apache_beam.io.filesystem import BeamIOError, CompressedFile, CompressionTypes, FileMetadata, FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

SCHEME = "gs://"

UNFINISHED = ".unfinished-"
"""Prefix of files that are still being written: they are no objects yet."""

CREATE_TRIES = 10
"""How often a folder may vanish between its making and its first file: each time, another thread must have removed an object."""

_root: list[Path] = []


def serve(root: Path) -> None:
    """Let this process see `root` as all buckets there are."""
    _root[:] = [root.resolve()]


class Object(io.BufferedWriter):
    """A file that becomes an object when it is closed, all at once; a writer that fails leaves none."""

    def __init__(self, target: Path) -> None:
        fd, name = _unfinished_file(target.parent)
        Path(name).chmod(0o644)
        super().__init__(io.FileIO(fd, "wb"))
        self._unfinished, self._target = Path(name), target

    def close(self) -> None:
        """Appear under the object's name."""
        if not self.closed:
            super().close()
            self._unfinished.replace(self._target)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Appear, unless the writer failed."""
        if kind is None:
            self.close()
        else:
            super().close()
            self._unfinished.unlink()


class FolderOfBuckets(FileSystem):  # type: ignore[misc]
    """Registers itself for gs:// by being defined; needs no Google Cloud library."""

    @classmethod
    def scheme(cls) -> str:
        """The scheme that Beam looks a file system up by."""
        return "gs"

    def join(self, basepath: str, *paths: str) -> str:
        """Join with single slashes."""
        return "/".join([basepath.rstrip("/"), *(part.strip("/") for part in paths[:-1]), *(part.lstrip("/") for part in paths[-1:])])

    def split(self, path: str) -> tuple[str, str]:
        """Split before the last component; a bucket alone has none."""
        head, separator, tail = path.removeprefix(SCHEME).rpartition("/")
        return (SCHEME + head, tail) if separator else (SCHEME + tail, "")

    def mkdirs(self, path: str) -> None:
        """Nothing to do: an object store has no folders."""

    def has_dirs(self) -> bool:
        """No: names only look like paths."""
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        bucket, _, prefix = dir_or_prefix.removeprefix(SCHEME).partition("/")
        folder = _file(SCHEME + bucket)
        # Whole folders of the prefix narrow the walk; the rest of it is compared by name.
        for parent, _, names in os.walk(folder / prefix.rpartition("/")[0]):
            for name in names:
                file = Path(parent, name)
                if not name.startswith(UNFINISHED) and str(file.relative_to(folder)).startswith(prefix):
                    try:
                        yield _metadata(f"{SCHEME}{bucket}/{file.relative_to(folder)}", file)
                    except FileNotFoundError:  # deleted while we looked
                        continue

    def create(self, path: str, mime_type: str = "application/octet-stream", compression_type: str = CompressionTypes.AUTO) -> Any:
        """A file to write; the object is there, whole, once it is closed."""
        del mime_type
        return _compressed(path, Object(_file(path)), compression_type)

    def open(self, path: str, mime_type: str = "application/octet-stream", compression_type: str = CompressionTypes.AUTO) -> Any:
        """The object's content."""
        del mime_type
        try:
            return _compressed(path, _file(path).open("rb"), compression_type)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise FileNotFoundError(f"{path} does not exist") from error

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        """Copy objects, each as a whole."""

        def copy_one(source: str, destination: str) -> None:
            with _file(source).open("rb") as content, self.create(destination, compression_type=CompressionTypes.UNCOMPRESSED) as out:
                shutil.copyfileobj(content, out)

        _each("Copy", copy_one, zip(source_file_names, destination_file_names, strict=True))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        """Give objects another name."""

        def rename_one(source: str, destination: str) -> None:
            _file(destination).parent.mkdir(parents=True, exist_ok=True)
            _file(source).replace(_file(destination))
            _forget_empty(_file(source).parent)

        _each("Rename", rename_one, zip(source_file_names, destination_file_names, strict=True))

    def exists(self, path: str) -> bool:
        """Whether there is an object of just this name."""
        return _file(path).is_file()

    def size(self, path: str) -> int:
        """Bytes of the object as stored."""
        return int(self.metadata(path).size_in_bytes)

    def last_updated(self, path: str) -> float:
        """Seconds since the epoch."""
        return float(self.metadata(path).last_updated_in_seconds)

    def checksum(self, path: str) -> str:
        """The size, as Beam's local file system has it."""
        return str(self.size(path))

    def metadata(self, path: str) -> FileMetadata:
        """Name, size and time of one object."""
        try:
            return _metadata(path, _file(path))
        except FileNotFoundError as error:
            raise BeamIOError(f"{path} does not exist", {path: error}) from error

    def delete(self, paths: list[str]) -> None:
        """Delete objects; an absent one is an error, a pattern means all that match."""

        def delete_one(pattern: str) -> None:
            found = self.match([pattern])[0].metadata_list
            if not found:
                raise FileNotFoundError(f"{pattern} does not exist")
            for entry in found:
                _file(entry.path).unlink()
                _forget_empty(_file(entry.path).parent)

        _each("Delete", delete_one, ((path,) for path in paths))


def _file(path: str) -> Path:
    """The file behind an object's name, which can never lie outside the root."""
    if not path.startswith(SCHEME):
        raise ValueError(f"{path} is not a gs:// name")
    file = Path(os.path.normpath(_root[0] / path.removeprefix(SCHEME)))
    if not file.is_relative_to(_root[0]) or file == _root[0]:
        raise ValueError(f"{path} is not the name of an object")
    return file


def _unfinished_file(folder: Path) -> tuple[int, str]:
    """A new file in a folder that another thread may be forgetting just now."""
    for _ in range(CREATE_TRIES):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return tempfile.mkstemp(prefix=UNFINISHED, dir=folder)
    raise BeamIOError(f"{folder} disappears again and again")


def _forget_empty(folder: Path) -> None:
    """Remove folders that have no object: an object store does not know them. Buckets stay."""
    with contextlib.suppress(OSError):  # not empty, or another thread was first
        while folder.parent != _root[0]:
            folder.rmdir()
            folder = folder.parent


def _metadata(path: str, file: Path) -> FileMetadata:
    stat = file.stat()
    return FileMetadata(path, stat.st_size, stat.st_mtime)


def _compressed(path: str, file: BinaryIO | io.BufferedWriter, compression_type: str) -> Any:
    kind = FileSystem._get_compression_type(path, compression_type)  # noqa: SLF001 — every file system of Beam calls it
    return file if kind == CompressionTypes.UNCOMPRESSED else CompressedFile(file, compression_type=kind)


def _each(what: str, effect: Callable[..., None], arguments: Any) -> None:
    """Try all, then report all that failed, as Beam expects."""
    failed: dict[Any, Exception] = {}
    for one in arguments:
        try:
            effect(*one)
        except (OSError, ValueError) as error:
            failed[one if len(one) > 1 else one[0]] = error
    if failed:
        raise BeamIOError(f"{what} operation failed", failed)
