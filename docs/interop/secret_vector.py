#!/usr/bin/env python3
"""Secrets, as `@secret` makes them, a second time.

Written from the protocol and the standards that it names (RFC 9106, SP 800-38D), and not from the
Rust, so that a mistake in one of the two shows: the tests of `common` open what this script has
sealed, and seal the same. It prints JSON, with bytes in hex.

    secret_vector.py            needs Python 3 and its package `cryptography`, 44 or newer

    python3 docs/interop/secret_vector.py > common/src/crypto/vectors/secret.json
"""

import json

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

# Values that nobody would choose: bytes that count up from somewhere.
SALT, NONCE = bytes(range(0x10, 0x20)), bytes(range(0x80, 0x8C))

CASES = [
    ("correct-horse-battery", b"meet me at noon", "alice", "bob"),
    ("k", b"x", "a", "-"),
    ("schl\u00fcssel", "Gr\u00fc\u00dfe, \u4f60\u597d \U0001f469".encode(), "Alice", "BOB"),
    ("long " * 20, b"\0" * 256, "ABCDEFGHIJKLMNOPQRST", "abcdefghij_lmnopqrst"),
    ("", b"the empty key", "bob", "alice"),
    ("correct-horse-battery", b"no \xff text", "alice", "bob"),
]


def seal(key, text, sender, recipient):
    """salt, nonce, ciphertext and tag."""
    kdf = Argon2id(salt=SALT, length=32, iterations=2, lanes=1, memory_cost=19456)
    data = b"chat5 secret v1"
    for name in (sender, recipient):
        name = name.lower().encode()
        data += bytes([len(name)]) + name
    return SALT + NONCE + AESGCM(kdf.derive(key.encode())).encrypt(NONCE, text, data)


def main():
    tests = [
        {
            "key": key,
            "text": text.hex(),
            "from": sender,
            "to": recipient,
            "sealed": seal(key, text, sender, recipient).hex(),
        }
        for key, text, sender, recipient in CASES
    ]
    source = "docs/interop/secret_vector.py"
    print(json.dumps({"source": source, "tests": tests}, indent=2))


if __name__ == "__main__":
    main()
