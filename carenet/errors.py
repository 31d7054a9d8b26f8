"""Every error that carenet raises, in families by what the caller can do about it.

CarenetError
├── BadInputError           bad data: reject it, never retry
│   ├── EncodingError           not the deterministic CBOR, COSE or base64 that we accept
│   ├── StatementError          a statement whose header or payload breaks a rule
│   ├── NoteError               a signed note or checkpoint that does not parse or verify
│   ├── ProofError              an inclusion or consistency proof that does not hold
│   ├── SealError               a sealed body or wrapped key that does not open
│   ├── KeyFileError            a key file that cannot be read or is not what it says
│   ├── ResourceError           a FHIR file that is not JSON, not FHIR, or has no patient
│   └── NotFoundError           a name or prefix that names nothing, or more than one thing
├── RefusedError            the network's rules said no; `reason` is the code
├── TransportError          a server could not be reached or broke off: retry
│   └── PushbackError           slow down; `retry_after_s` says for how long
├── SetupError              this machine or folder is not as carenet needs it; the message says what to do
└── CorruptionError         the store or the log is not what was signed: stop and page someone
"""

from __future__ import annotations


class CarenetError(Exception):
    """The root: catch this to catch everything that carenet raises on purpose."""


class BadInputError(CarenetError):
    """Bad data: reject it, never retry."""


class EncodingError(BadInputError):
    """Bytes that are not the deterministic CBOR, COSE or base64 that carenet accepts."""


class StatementError(BadInputError):
    """A statement whose header or payload breaks a rule; the message names the field and the rule."""


class NoteError(BadInputError):
    """A signed note or checkpoint that does not parse, or carries a bad signature."""


class ProofError(BadInputError):
    """An inclusion or consistency proof that does not hold."""


class SealError(BadInputError):
    """A sealed body or a wrapped key that does not open, or opens to something else."""


class KeyFileError(BadInputError):
    """A key file that cannot be read, is not what it says, or needs another passphrase."""


class ResourceError(BadInputError):
    """A FHIR file that is not JSON, not FHIR, or has no patient; the message names file and place."""


class NotFoundError(BadInputError):
    """A name or prefix that names nothing, or more than one thing."""


class RefusedError(CarenetError):
    """The network's rules said no.

    Args:
        reason: one of the codes in `carenet.rules.reasons`.
        detail: what the rule names, without patient data.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class TransportError(CarenetError):
    """A server could not be reached or broke off: retry."""


class PushbackError(TransportError):
    """The server asks to slow down.

    Args:
        retry_after_s: seconds to wait before the next try.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SetupError(CarenetError):
    """This machine or folder is not as carenet needs it; the message says what to do."""


class CorruptionError(CarenetError):
    """The store or the log is not what was signed: stop and page someone."""
