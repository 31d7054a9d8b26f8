"""How our processes log: JSON lines on stderr, ids and counts only.

Any room from `bus` on may import it, as `carenet.settings`.
"""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_logging(level: str) -> None:
    """From here on structlog's loggers write JSON lines to stderr.

    Args:
        level: the least level that is logged: debug, info, warning or error.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
