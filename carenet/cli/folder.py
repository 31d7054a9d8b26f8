"""What lies in DIR, for commands: genesis, key files, patients' nicknames, and the addresses of what runs.

`DIR/patients.json` (0600) leads from nicknames to subject ids. A nickname is this folder's own and is never sent.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carenet.cli.names import Named
from carenet.encoding.ids import decode_id, encode_id, is_name
from carenet.errors import BadInputError, EncodingError, NotFoundError, SetupError

if TYPE_CHECKING:
    from carenet.local.runfile import RunFile
    from carenet.sealing.identity import Identity
    from carenet.statements.genesis import Genesis

_PATIENTS = "patients.json"
_VERSION = 1
_KEY_SUFFIX = ".key"


def passphrase() -> str | None:
    """CARENET_PASSPHRASE, which encrypts key files at rest."""
    return os.environ.get("CARENET_PASSPHRASE") or None


def load_genesis(directory: Path) -> Genesis:
    """DIR/network.cbor.

    Raises:
        SetupError: there is none yet.
        BadInputError: it is not a genesis file.
    """
    from carenet.local.founding import read_genesis

    return read_genesis(directory)


def key_path(directory: Path, name: str) -> Path:
    """Where the key of a name is kept."""
    return directory / "keys" / f"{name}{_KEY_SUFFIX}"


def list_key_files(directory: Path) -> dict[str, Path]:
    """Key files in DIR/keys by name."""
    return {path.stem: path for path in sorted((directory / "keys").glob(f"*{_KEY_SUFFIX}")) if path.is_file()}


def find_key_file(directory: Path, typed: str) -> Path:
    """The key file that is meant by a path, a name or the start of one.

    Raises:
        NotFoundError: none, or several; the message names those that are there.
    """
    if os.sep in typed or typed.endswith(_KEY_SUFFIX):
        path = Path(typed)
        if path.is_file():
            return path
        raise NotFoundError(f"there is no key file {path}")
    files = list_key_files(directory)
    if typed in files:
        return files[typed]
    meant = [name for name in files if typed and name.startswith(typed)]
    if len(meant) == 1:
        return files[meant[0]]
    if meant:
        raise NotFoundError(f"{typed!r} may mean more than one key: {', '.join(meant)}; type more of one")
    there = (
        f"there are: {', '.join(files)}"
        if files
        else "there are none yet: carenet participant create NAME makes one, carenet up a whole network"
    )
    raise NotFoundError(f"no key in {directory / 'keys'} is called {typed!r}; {there}")


def load_identity(directory: Path, typed: str) -> Identity:
    """The identity of `--as`.

    Raises:
        NotFoundError: see `find_key_file`.
        KeyFileError: the file cannot be read.
    """
    from carenet.sealing.keyfile import load_identity as load

    return load(find_key_file(directory, typed), passphrase())


def read_nicknames(directory: Path, network: bytes | None = None) -> list[Named]:
    """The patients that were registered from here.

    Args:
        directory: DIR.
        network: the network that they must be of; None takes them as they are.

    Raises:
        BadInputError: the file is not what `remember_patient` writes, or is another network's.
    """
    path = directory / _PATIENTS
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["version"] != _VERSION:
            raise BadInputError(f"{path} was written by another version of carenet")
        if network is not None and held["network"] != encode_id(network):
            raise BadInputError(f"{path} is of another network: move it away")
        return [Named(name, decode_id(text)) for name, text in held["patients"].items()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EncodingError) as exc:
        raise BadInputError(f"{path} cannot be read ({type(exc).__name__}): mend it or move it away") from exc


def without_names(subjects: Iterable[bytes]) -> list[Named]:
    """Subjects that are known by their ids only, to be resolved beside the nicknames."""
    return [Named("", subject) for subject in subjects]


def check_nickname(directory: Path, network: bytes, name: str) -> None:
    """Refuse a nickname that cannot be given.

    Raises:
        BadInputError: it is no name, or names a patient already.
    """
    if not is_name(name):
        raise BadInputError(f"{name!r} is no name: up to 64 of the characters a-z 0-9 . _ -")
    if any(each.name == name for each in read_nicknames(directory, network)):
        raise BadInputError(f"a patient is called {name!r} already: choose another name")


def remember_patient(directory: Path, network: bytes, patient: Named) -> None:
    """Keep a patient's nickname.

    Raises:
        SetupError: the file cannot be written.
    """
    path = directory / _PATIENTS
    try:
        with _locked(directory):
            patients = {each.name: each.text for each in read_nicknames(directory, network)}
            patients[patient.name] = patient.text
            held = {"version": _VERSION, "network": encode_id(network), "patients": patients}
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(held, file, indent=1)
            draft.replace(path)
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One writer of the nicknames at a time: two registrations side by side must both be kept."""
    descriptor = os.open(directory / f".{_PATIENTS}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def find_running(directory: Path) -> RunFile:
    """The addresses of the stack that runs in this folder.

    Raises:
        SetupError: none runs.
    """
    from carenet.local.runfile import read_run_file

    run = read_run_file(directory)
    if run is None:
        to = "" if directory == Path(".carenet") else f" --dir {directory}"
        raise SetupError(f"nothing runs in {directory}: start it with carenet up{to}")
    return run


def find_gateway(directory: Path) -> str:
    """The gateway's address: CARENET_GATEWAY, else that of the stack that runs in this folder.

    Raises:
        SetupError: neither.
    """
    address = os.environ.get("CARENET_GATEWAY") or find_running(directory).gateway
    if not address:
        raise SetupError(f"what runs in {directory} has no gateway yet: try again in a moment")
    return address


def find_database(directory: Path) -> str:
    """The node's database: CARENET_POSTGRES, else that of the stack that runs in this folder.

    Raises:
        SetupError: neither.
    """
    return os.environ.get("CARENET_POSTGRES") or find_running(directory).postgres


def network_text(genesis: Genesis) -> str:
    """A network's id as text."""
    return encode_id(genesis.network_id)


def describe_genesis(genesis: Genesis) -> dict[str, Any]:
    """A network's constants as JSON values."""
    return {
        "name": genesis.name,
        "network": encode_id(genesis.network_id),
        "topic": genesis.topic,
        "partitions": genesis.partitions,
        "quorum": genesis.quorum,
        "rulebook": genesis.rulebook,
        "authorities": [{"name": each.name, "id": encode_id(each.id)} for each in genesis.authorities],
        "nodes": [{"name": each.name, "id": encode_id(each.id)} for each in genesis.nodes],
    }
