"""A small book for each test."""

from pathlib import Path

import pytest

from tests.workbook.books import Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """A book without chapters."""
    return Book(tmp_path)


@pytest.fixture
def small(book: Book) -> Path:
    """The skeleton file of the only chapter of `book`."""
    return book.add_small()
