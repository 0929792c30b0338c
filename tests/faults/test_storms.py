"""The storms see what they are there to see. They themselves are run by hand: see storms.py."""

import pytest

from tests.faults.storms import longest_untrue


@pytest.mark.parametrize(
    ("answers", "seconds"),
    [
        ([(0, True), (1, True)], 0),
        ([(0, True), (1, False), (1.2, False), (1.4, True), (2, True)], 0.4),
        ([(0, False), (3, True), (4, False), (5, True)], 3),
        ([(0, True), (2, False), (6, False), (10, False)], 8),
    ],
    ids=["always true", "a moment", "the longest of two", "a process that says nothing"],
)
def test_readiness_is_untrue_from_a_wrong_answer_to_the_next_right_one(answers, seconds):
    assert longest_untrue(answers) == pytest.approx(seconds)
