"""`scheduler redis` and `scheduler sql` write what redis-cli and psql would, and ages are read as people give them."""

import io
from datetime import timedelta

import pytest
from scheduler.cli import resp
from scheduler.cli.failures import Misused
from scheduler.cli.prune import parse_age
from scheduler.cli.psql import Column, table
from scheduler.cli.show import printable


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        (b"+OK\r\n", "OK"),
        (b":3\r\n", "(integer) 3"),
        (b"$5\r\nhello\r\n", '"hello"'),
        (b"$0\r\n\r\n", '""'),
        (b"$-1\r\n", "(nil)"),
        (b"*-1\r\n", "(nil)"),
        (b"*0\r\n", "(empty array)"),
        (b"-ERR unknown command 'FOO'\r\n", "(error) ERR unknown command 'FOO'"),
        (b"*2\r\n$1\r\na\r\n:7\r\n", '1) "a"\n2) (integer) 7'),
        (b"*2\r\n*2\r\n:1\r\n$1\r\nx\r\n*0\r\n", '1) 1) (integer) 1\n   2) "x"\n2) (empty array)'),
        (b"*10\r\n" + b":0\r\n" * 10, "\n".join(f"{number:>2}) (integer) 0" for number in range(1, 11))),
    ],
)
def test_a_reply_looks_as_in_redis_cli(wire, shown):
    assert resp.show(resp.read_reply(io.BytesIO(wire))) == shown


def test_a_string_is_quoted_with_an_escape_for_each_byte_that_is_not_printable():
    assert resp.quoted('a"b\\c\n\té\x00'.encode()) == r'"a\"b\\c\n\t\xc3\xa9\x00"'


def test_a_raw_reply_is_its_bare_values_a_line_each():
    assert resp.raw([b"a", 7, None, resp.Status(b"OK")]) == b"a\n7\n\nOK"


def test_a_command_goes_out_with_the_length_of_each_argument_in_bytes():
    assert resp.encode("LPUSH", "q", "é") == b"*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$2\r\n\xc3\xa9\r\n"


@pytest.mark.parametrize("wire", [b"", b":3", b"$5\r\nhel", b"*2\r\n:1\r\n"])
def test_a_connection_that_ends_within_a_reply_is_an_error(wire):
    with pytest.raises(EOFError):
        resp.read_reply(io.BytesIO(wire))


def test_a_reply_of_another_protocol_is_an_error():
    with pytest.raises(ValueError, match="not a RESP2 reply"):
        resp.read_reply(io.BytesIO(b"%1\r\n+a\r\n:1\r\n"))


# Each expected text is what psql 15 printed for such a statement.
@pytest.mark.parametrize(
    ("columns", "rows", "printed"),
    [
        (["t"], [["hello"]], "   t   \n-------\n hello\n(1 row)"),
        (["t"], [], " t \n---\n(0 rows)"),
        (["#n"], [["10"]], " n  \n----\n 10\n(1 row)"),
        (["t", "#wide"], [["a", "2"]], " t | wide \n---+------\n a |    2\n(1 row)"),
        (["t", "last"], [["a", None]], " t | last \n---+------\n a | \n(1 row)"),
        (
            ["#x", "#last"],
            [["5", None], ["10", "3"]],
            " x  | last \n----+------\n  5 |     \n 10 |    3\n(2 rows)",
        ),
        (["t", "#n"], [["two\nlines", "5"]], "   t   | n \n-------+---\n two  +| 5\n lines | \n(1 row)"),
        (["#n", "t"], [["5", "two\nlines"]], " n |   t   \n---+-------\n 5 | two  +\n   | lines\n(1 row)"),
        (["t", "x"], [["é漢字", "y"]], "   t   | x \n-------+---\n é漢字 | y\n(1 row)"),
        (["t"], [["cr\rx\x1b[1m"]], "      t       \n--------------\n cr\\rx\\x1B[1m\n(1 row)"),
        ([], [[]], "--\n(1 row)"),
    ],
)
def test_a_table_looks_as_in_psql(columns, rows, printed):
    described = [Column(name.removeprefix("#"), name.startswith("#")) for name in columns]
    assert "\n".join(table(described, rows)) == printed


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("7d", timedelta(days=7)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("0s", timedelta()),
    ],
)
def test_an_age_is_a_number_and_a_unit(text, age):
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 days", "1.5h", "36501d", "99999999d", "٣d"])
def test_any_other_age_is_refused(text):
    with pytest.raises(Misused, match="--older-than"):
        parse_age(text)


def test_control_characters_never_reach_a_terminal():
    assert printable("a\x1b[31mb\nc\u202ed") == "a\N{REPLACEMENT CHARACTER}[31mb c\N{REPLACEMENT CHARACTER}d"
