"""What a file looks like, from its first bytes: for the sentence that refuses a file of another format."""

from pathlib import Path

from spikeveil.pysim.model.array_file import ArrayFile

HEAD_BYTES = 512
#: first bytes -> what such a file is, and what reads it
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself (`git lfs pull`)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as those of SHD and NIR: bin its events into an array (h5py, Tonic)"),
    (b"#!AER-DAT", "an AEDAT recording: bin its events into an array (Tonic, `aedat`)"),
    (b"PAR1", "an Apache Parquet table: write its columns as a NumPy array"),
    (b"MATLAB ", "a MATLAB file: write its arrays with `numpy.savez` (scipy.io.loadmat)"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ", "an xz file: unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it first"),
    (b"SQLite format 3", "an SQLite database, as a ledger is"),
    (b"\x89PNG", "a PNG image: encode its intensities as spikes first (spikeveil.host.data.rate)"),
    (b"\xff\xd8\xff", "a JPEG image: encode its intensities as spikes first (spikeveil.host.data.rate)"),
    (b"%PDF", "a PDF document"),
)
PICKLE_PROTOCOLS = range(2, 6)
OBJECTS = "an array of Python objects, which are pickled and never read: save plain numbers"
MAX_HEADER = 1 << 20  # of a safetensors file


def file_kind(path: Path) -> str | None:
    """What the file `path` looks like, as the end of "it is ..."; None where nothing is recognised. OSError."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        return "an empty file"
    for start, kind in SIGNATURES:
        if head.startswith(start):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _archive_kind(path)
    if head.startswith(b"\x93NUMPY"):
        return OBJECTS if b"'|O'" in head else None
    if _is_safetensors(head):
        return "a safetensors file: `spikeveil import --layers` reads its weights (docs/import.md)"
    if head[0] == 0x80 and len(head) > 1 and head[1] in PICKLE_PROTOCOLS:
        return "a pickle, which can run code when it is read and never is: save plain arrays with `numpy.savez`"
    return _text_kind(head) or _event_kind(path)


def _archive_kind(path: Path) -> str | None:
    """The kind of a ZIP archive, by the names in it."""
    try:
        with ArrayFile(path, str(path)) as archive:
            names = archive.names
    except ValueError:
        return None
    if "header.json" in names:
        return "a network file of spikeveil, which is the NETWORK of a command and not its data"
    if any(name.endswith(("data.pkl", "serialization_id")) for name in names):
        return (
            "a PyTorch file: `spikeveil import --layers` reads the tensors of a state dict (docs/import.md), and no "
            "pickled module is ever loaded"
        )
    return _member_kind(path, names)


def _member_kind(path: Path, names: tuple[str, ...]) -> str | None:
    """The kind of an archive by its members: arrays of objects, or no arrays; None for damaged ones."""
    with ArrayFile(path, str(path)) as archive:
        for name in names:
            try:
                archive.header(name)
            except ValueError as error:
                reason = str(error)
                if "of object" in reason:
                    return f"an archive with {name!r}, {OBJECTS}"
                return "a ZIP archive: unpack it first" if "magic string" in reason else None
    return None


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 9 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= MAX_HEADER


def _text_kind(head: bytes) -> str | None:
    """CSV, JSON or other text; None for bytes that are no text."""
    try:
        text = head[: HEAD_BYTES - 4].decode()
    except UnicodeDecodeError:
        return None
    if any(ord(letter) < 9 for letter in text):
        return None
    if text.lstrip().startswith(("{", "[")):
        return "JSON or TOML text: save arrays with `numpy.savez`"
    first = text.splitlines()[0] if text.strip() else ""
    if "," in first or ";" in first or "\t" in first:
        return (
            "a CSV table, which has two dimensions: `numpy.loadtxt` reads it, and `reshape` makes it "
            "(records, steps, inputs)"
        )
    return "text"


def _event_kind(path: Path) -> str | None:
    """N-MNIST's events are 5 bytes each, without a header."""
    if path.suffix == ".bin" and path.stat().st_size % 5 == 0:
        return "perhaps an event recording as N-MNIST's (5 bytes an event): bin its events into an array (Tonic)"
    return None
