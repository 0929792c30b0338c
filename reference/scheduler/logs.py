"""Structured logs: the standard library's `logging` in every module, rendered by structlog.

A line says when, how bad, what, and of which job: `log.info("…", extra={"job_id": …, "attempt": …})`. On a terminal it
is made for people, anywhere else it is one JSON document.

    LOG_LEVEL    debug, info (the default), warning or error
    LOG_FORMAT   console or json; left out, console on a terminal and json elsewhere
"""

import json
import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

from scheduler.config import ConfigError

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("console", "json")

# httpx would log the whole URL of each call, and a URL may carry a token. asyncio's own news is about selectors.
QUIET = ("httpx", "httpcore", "asyncio", "grpc")


def configure() -> None:
    """Send all logs to standard error, as the environment asks. Raises `ConfigError` for a word it does not know."""
    level = _choice("LOG_LEVEL", LEVELS, "info")
    style = _choice("LOG_FORMAT", FORMATS, "console" if sys.stderr.isatty() else "json")
    handler = _StandardError()
    handler.setFormatter(_formatter(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _StandardError(logging.Handler):
    """Writes to what `sys.stderr` is now: a live table on the terminal replaces it, to keep lines out of itself."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def _choice(variable: str, words: tuple[str, ...], default: str) -> str:
    word = os.environ.get(variable, "").lower() or default
    if word not in words:
        raise ConfigError(f"{variable} should be one of {', '.join(words)}, not {word}")
    return word


def _formatter(style: str) -> logging.Formatter:
    import structlog
    from structlog.dev import ConsoleRenderer, plain_traceback

    before: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(
            fmt="%H:%M:%S" if style == "console" else "iso", utc=style == "json"
        ),
    ]
    render: list[Any]
    if style == "json":
        # Not structlog's own fallback, repr: an id should be an id, not UUID('…').
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_to_json)]
    else:
        colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        # A plain traceback: the pretty one shows local variables, and those may hold a password.
        render = [
            _one_printable_line,
            ConsoleRenderer(colors=colours, pad_event_to=0, exception_formatter=plain_traceback),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )


def _to_json(event: MutableMapping[str, Any], **_: Any) -> str:
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return json.dumps({**first, **event}, default=str, ensure_ascii=False)


def _one_printable_line(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    from scheduler.cli.show import printable

    event["event"] = printable(str(event["event"]))
    for key in ("job_id", "logger"):
        if key in event:
            event[key] = str(event[key])
    return event
