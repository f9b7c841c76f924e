"""Builds wheel and sdist so that the same commit gives the same bytes: times are the commit's, owners are nobody's.

    scripts/dist.py [--output dist]

SOURCE_DATE_EPOCH, seconds since 1970, is the time of every file; by default the time of the last commit.
"""

import argparse
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def commit_time() -> str:
    """Seconds since 1970 of the last commit."""
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def normalised(content: bytes, time: int) -> bytes:
    """A .tar.gz with its members in order of their names, all of one time and without owners."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as source,
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=time) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            file = source.extractfile(member) if member.isfile() else None
            member.mtime, member.pax_headers = time, {}
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            target.addfile(member, file)
    return packed.getvalue()


def build(output: Path, time: str) -> list[Path]:
    """The wheel and the sdist, written to `output`."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", name, str(ROOT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": time})
        built = []
        for path in sorted(Path(name).iterdir()):
            content = path.read_bytes()
            target = output / path.name
            target.write_bytes(normalised(content, int(time)) if path.name.endswith(".tar.gz") else content)
            built.append(target)
    return built


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    for path in build(options.output, os.environ.get("SOURCE_DATE_EPOCH") or commit_time()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")


if __name__ == "__main__":
    main()
