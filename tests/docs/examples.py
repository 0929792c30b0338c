"""The examples of Python: they run, and print what their comments say.

A comment beside a `print` is what it prints, perhaps with `prints` before it, and a remark behind it: after `, `,
after `: `, or after a gap. It may also be only the beginning of what is printed. In it, `…` stands for anything.
"""

import ast
import builtins
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.docs.pages import Block
from tests.patience import SECONDS

RECORDER = Path(__file__).with_name("recorder.py")
REMARKS = {
    "naive, then aware",
    "the page, as Prometheus gets it",
    "prints the time, then: an egg",
    "runs however brew ends",
    "… and passes by here: this is Go's defer",
}
"""What stands beside a `print` and is not what it prints."""


@dataclass(frozen=True)
class Example:
    """One block of Python."""

    block: Block

    @cached_property
    def unknown_names(self) -> set[str]:
        """What it uses and nobody defines: such an example is a part of something larger."""
        tree = ast.parse(self.block.text)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        known = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | set(dir(builtins))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                known.add(node.name)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                known.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                known |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        return {node.id for node in names} - known

    @cached_property
    def comments(self) -> dict[int, tuple[str, bool]]:
        """By line: the comment, and whether it has the line for itself."""
        tokens = tokenize.generate_tokens(io.StringIO(self.block.text).readline)
        return {
            token.start[0]: (token.string[1:].strip(), not token.line[: token.start[1]].strip())
            for token in tokens
            if token.type == tokenize.COMMENT
        }

    def faults(self, folder: Path, environment: dict[str, str]) -> Iterator[str]:
        """Run it in a process of its own; a sentence for each thing that is not as it says."""
        file = folder / "block.py"
        file.write_text(self.block.text, "utf-8")
        done = subprocess.run(
            [sys.executable, RECORDER, file],
            cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            yield f"it fails: {done.stderr}"
            return
        recorded = json.loads(done.stdout.splitlines()[-1])
        yield from recorded["wrong"]
        yield from self._differing(recorded["lines"], done.stderr)
        yield from self._not_as_told([text for _, text in recorded["lines"]])

    def _differing(self, lines: list[tuple[int, str]], stderr: str) -> Iterator[str]:
        printed = {
            line: [text for _, text in group] for line, group in groupby(sorted(lines, key=_line), _line)
        }
        for line, texts in printed.items():
            below = self._comments_below(line)
            comment, alone = self.comments.get(line, ("", True))
            if not alone:
                if comment not in REMARKS and not says(comment, ", ".join(texts)):
                    yield f"line {self.block.line + line}: it prints {', '.join(texts)!r}, not {comment!r}"
            elif below and (len(below) != len(texts) or not all(map(says, below, texts))):
                yield f"line {self.block.line + line}: it prints {texts}, not {below}"
        for line, (comment, _) in self.comments.items():
            said = re.match(r"prints:? (.+)", comment)
            if said and line not in printed and said[1] not in stderr:
                yield f"line {self.block.line + line}: it does not print so: {comment!r}"

    def _comments_below(self, line: int) -> list[str]:
        found = []
        while (comment := self.comments.get(line + 1)) and comment[1]:
            found.append(comment[0])
            line += 1
        return found

    def _not_as_told(self, printed: list[str]) -> Iterator[str]:
        """The sentence below: `It prints *oven on*, *oven off*.`"""
        told = re.match(r"It prints (\*[^*]+\*(, (and )?\*[^*]+\*)*)", self.block.below)
        if told and re.findall(r"\*([^*]+)\*", told[1]) != printed:
            yield f"it prints {printed}, and the sentence below says {told[0]!r}"


async def run_part(block: Block, names: dict[str, Any]) -> None:
    """Run an example that awaits at its top level, with these names. It adds its own to them."""
    code = compile(block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if (ran := eval(code, names)) is not None:
        await ran


def says(comment: str, printed: str) -> bool:
    """Whether a comment names what was printed."""
    said = re.sub(r"^.*?\bprints:? ", "", comment)
    ends = [found.start() for found in re.finditer(r"[,:] | {2,}", said)]
    return any(_is(said[:end].strip(), printed) for end in [*ends, len(said)])


def _is(said: str, printed: str) -> bool:
    pattern = ".*".join(map(re.escape, said.split("…")))
    return bool(said) and re.fullmatch(rf"{pattern}( .*)?", printed) is not None


def _line(recorded: tuple[int, str]) -> int:
    return recorded[0]
