"""A learner's file as Python reads it: a byte-order mark, a declared encoding, any kind of line end are all right."""

import ast
import codecs
import io
import tokenize
from pathlib import Path

WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


class NotText(SyntaxError):
    """The bytes are no text in the encoding that Python takes them for. The message says what to do."""


def text(path: Path) -> str:
    """The file's text, its lines ended by `\\n` alone. Raises `OSError`, and `NotText`."""
    return decoded(path.read_bytes())


def decoded(data: bytes) -> str:
    """The text of a file that holds these bytes. Raises `NotText`."""
    if data.startswith(WIDE) or b"\0" in data:
        kind = (
            "it is saved as UTF-16"
            if data.startswith(WIDE) or data.count(b"\0") > 3
            else "it holds a null byte"
        )
        raise NotText(f"{kind}: save it as UTF-8")
    try:
        return data.decode(_encoding(data)).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        unclear = NotText(
            f"a byte here is no {error.encoding.upper()}, {_spelled(error)}: save the file as UTF-8"
        )
        unclear.lineno = data[: error.start].count(b"\n") + 1
        raise unclear from None


def _encoding(data: bytes) -> str:
    """What the file says of its encoding. Raises `NotText` if nobody knows that one."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        if "unknown encoding" in str(error.msg):
            raise NotText(f"{error.msg}: save the file as UTF-8") from None
        return "utf-8"  # it says nothing, and is none: decoding it says where


def tree(path: Path) -> ast.Module:
    """What the file says. Raises `OSError`, and `SyntaxError` if Python can't read it."""
    # Of the bytes, as an import does: it forgives in a comment what no text in this encoding has.
    return ast.parse(path.read_bytes(), str(path))


def _spelled(error: UnicodeDecodeError) -> str:
    return f"0x{error.object[error.start]:02x}"
