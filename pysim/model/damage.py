"""What zipfile, zlib, json, tomllib and NumPy raise on damaged content."""

import lzma
import struct
import tokenize
import zipfile
import zlib

#: catch these around the parsing of content that is in memory, or of a file that is open: each is then the file's fault
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError),
    *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError),
)
