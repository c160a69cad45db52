"""Signatures: Ed25519 (RFC 8032) over the canonical JSON of everything in a certificate but the signature.

Guaranteed: whoever holds the private key signed exactly this content; any change to it shows. White space and key
order are no content. Not guaranteed: who that is. The key is made on first use, for this user on this machine; compare
the fingerprint with one that its owner gave you, for anybody can change a certificate and sign it anew with a key of
his own. A verdict is not made true by a signature: `assay verify` runs it again.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from assay.core.identity import canonical_json
from assay.errors import MachineError
from assay.machine.cache_dirs import atomic_write, find_dirs

ALGORITHM = "ed25519"
_PARTS = {"algorithm", "public_key", "value"}
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """What a signature says. `fingerprint` is that of the public key, None where there is no usable one."""

    valid: bool
    by_this_machine_user: bool
    fingerprint: str | None
    reason: str


def sign(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """The certificate with a signature by this user's key, which is made if there is none yet.

    Raises MachineError where the key cannot be made, read or trusted.
    """
    key = _own_key()
    unsigned = {name: part for name, part in certificate.items() if name != "signature"}
    value = key.sign(canonical_json(unsigned))
    return unsigned | {
        "signature": {"algorithm": ALGORITHM, "public_key": _raw(key.public_key()).hex(), "value": value.hex()}
    }


def check_signature(certificate: Mapping[str, Any]) -> SignatureCheck:
    """Whether the content is what somebody signed. Never raises for what a certificate holds, never makes a key."""
    signature = certificate.get("signature")
    if signature is None:
        return SignatureCheck(False, False, None, "it is not signed")
    found = _parts(signature)
    if found is None:
        return SignatureCheck(False, False, None, f"the signature is not an {ALGORITHM} one of the known form")
    raw, value = found
    try:
        content = canonical_json({name: part for name, part in certificate.items() if name != "signature"})
        Ed25519PublicKey.from_public_bytes(raw).verify(value, content)
    except InvalidSignature:
        return SignatureCheck(False, False, fingerprint(raw), "the content is not what was signed")
    except (ValueError, TypeError, RecursionError) as error:
        return SignatureCheck(False, False, None, f"the content or the key makes no sense: {error}"[:200])
    mine = _own_public_key()
    if mine == raw:
        return SignatureCheck(True, True, fingerprint(raw), "signed by you, on this machine")
    return SignatureCheck(True, False, fingerprint(raw), "signed with another key; compare its fingerprint")


def fingerprint(public_key: bytes) -> str:
    """The sha256 of a raw public key, as ssh-keygen writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(public_key).digest()).decode().rstrip("=")


def key_path() -> Path:
    """Where this user's private key lies or will lie."""
    return find_dirs().keys / "ed25519.pem"


def _own_key() -> Ed25519PrivateKey:
    path = key_path()
    if not path.exists():
        _make_key(path)
    return _load_key(path)


def _own_public_key() -> bytes | None:
    """None where there is no key, or none that can be used; checking others' certificates must not fail for that."""
    try:
        return _raw(_load_key(key_path()).public_key()) if key_path().exists() else None
    except MachineError:
        return None


def _make_key(path: Path) -> None:
    """Write a new key whole, then link it into place: of two processes that try at once, one key stays."""
    content = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(8).hex()}")
    atomic_write(fresh, content)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass  # another process was first: its key is the key
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), "make") from error
    finally:
        fresh.unlink()


def _load_key(path: Path) -> Ed25519PrivateKey:
    try:
        with path.open("rb") as file:
            exposed = os.fstat(file.fileno()).st_mode & _OTHERS
            content = file.read(65536)
        key = serialization.load_pem_private_key(content, password=None)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), "read") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(path, "the file is damaged", "read") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, f"it holds a {type(key).__name__}", "use")
    if exposed:
        raise MachineError(
            "The signing key can be read by other users.",
            value=f"{path}, mode {exposed:04o} too much",
            rule="a key that others can read signs for them too",
            next_step=f"Run chmod 600 {path}, or move it away to get a new key.",
        )
    return key


def _unusable(path: Path, why: str, verb: str) -> MachineError:
    return MachineError(
        f"Assay cannot {verb} the signing key.",
        value=f"{path}: {why}",
        rule="certificates are signed with an Ed25519 key in PEM form, readable by its owner only",
        next_step="Restore the file from a backup, or move it away: the next certificate makes a new key, and what "
        "the old one signed stays valid but is no longer known as yours.",
    )


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _parts(signature: Any) -> tuple[bytes, bytes] | None:
    """Public key and value; None unless the form is exactly the one that `sign` writes."""
    if not isinstance(signature, Mapping) or set(signature) != _PARTS or signature["algorithm"] != ALGORITHM:
        return None
    try:
        raw, value = (bytes.fromhex(signature[name]) for name in ("public_key", "value"))
    except (ValueError, TypeError):
        return None
    exact = (raw.hex(), value.hex()) == (signature["public_key"], signature["value"])
    return (raw, value) if exact and (len(raw), len(value)) == (32, 64) else None
