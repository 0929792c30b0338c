"""The learner's own pieces, for notebook 07."""

from dataclasses import dataclass

import pandas as pd
from pandas import DataFrame
from scheduler.parts import Parts, reference

from workbook import caught_up, mine
from workbook.mine import Piece
from workbook.notebook.page import card


@dataclass(frozen=True)
class MyPieces:
    """Which pieces are finished, and why those that are written are not among them, if one can't be loaded."""

    finished: tuple[Piece, ...]

    @property
    def table(self) -> DataFrame:
        """Every chapter, with whose pieces run there."""
        filled = caught_up.names()
        rows = []
        for name in dict.fromkeys(piece.chapter.name for piece in mine.pieces()):
            here = [piece for piece in mine.pieces() if piece.chapter.name == name]
            yours = [piece.field for piece in here if piece in self.finished]
            theirs = [piece.field for piece in here if piece not in self.finished]
            kind = "caught up: " if name in filled and yours else ""
            rows.append((name, kind + ", ".join(yours), ", ".join(theirs)))
        return pd.DataFrame(rows, columns=["chapter", "yours", "the reference's"])


def my_pieces() -> MyPieces:
    """The pieces whose core tests are green now. Where the last runs say too little, this runs the tests."""
    return MyPieces(tuple(mine.finished()))


def my_parts(pieces: MyPieces) -> Parts:
    """The learner's finished pieces, with the reference's in the places of the others.

    If they can't be loaded, a card says why, and all of it is the reference.
    """
    try:
        return mine.parts(pieces.finished)
    except Exception as error:
        card(
            "Your pieces could not be loaded, so this is the reference.",
            f"{type(error).__name__}: {error}",
            "`workbook test` says more.",
            colour="#D55E00",
        )
        return reference()
