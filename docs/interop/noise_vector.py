#!/usr/bin/env python3
"""Stage 5's handshake, login and records, a second time.

Written from the protocol and the standards that it names (the Noise Protocol Framework, revision 34;
RFC 5802, RFC 7748, RFC 9106, SP 800-38D), and not from the Rust, so that a mistake in one of the two
shows: the tests of stage 5 send, receive and compute the same bytes. It prints JSON, with bytes in hex.

    noise_vector.py             needs Python 3 and its package `cryptography`, 44 or newer

    python3 docs/interop/noise_vector.py > common/src/crypto/vectors/noise.json
"""

import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

NAME = b"Noise_NX_25519_AESGCM_SHA256"
# Values that nobody would choose: bytes that count up from somewhere.
PRIVATE_E_C, PRIVATE_E_S, PRIVATE_S = (bytes(range(at, at + 32)) for at in (0x00, 0x20, 0x40))
SALT = bytes(range(16))
USER, PASSWORD = "alice", "correct horse"
SUITE = b"\x01"
PAYLOAD = b"\x10hi"
# Kibibytes, passes, lanes.
ARGON2 = (19456, 2, 1)
# A direction has a new key before each record whose number is a multiple of this.
REKEY = 2**20


def hmac_sha256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(chaining_key, secret):
    """Section 4.3: two outputs."""
    temporary = hmac_sha256(chaining_key, secret)
    first = hmac_sha256(temporary, b"\x01")
    return first, hmac_sha256(temporary, first + b"\x02")


def seal(key, number, data, text):
    return AESGCM(key).encrypt(bytes(4) + number.to_bytes(8, "big"), text, data)


def rekey(key):
    """Section 4.2: REKEY."""
    return seal(key, 2**64 - 1, b"", bytes(32))[:32]


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def dh(private, share):
    share = X25519PublicKey.from_public_bytes(share)
    return X25519PrivateKey.from_private_bytes(private).exchange(share)


def handshake():
    """Both messages, the two keys and the hash of the handshake."""
    hello_c = b"CHT5" + b"\x01" + bytes([len(SUITE)]) + SUITE
    hello_s = b"CHT5" + b"\x01" + SUITE
    e_c, e_s, s = map(public, (PRIVATE_E_C, PRIVATE_E_S, PRIVATE_S))
    h = chaining_key = NAME.ljust(32, b"\0")

    def mix_hash(data):
        nonlocal h
        h = hashlib.sha256(h + data).digest()
        return data

    mix_hash(hello_c + hello_s)
    # -> e
    message_1 = mix_hash(e_c) + mix_hash(b"")
    # <- e, ee, s, es
    message_2 = mix_hash(e_s)
    chaining_key, key = hkdf(chaining_key, dh(PRIVATE_E_S, e_c))
    message_2 += mix_hash(seal(key, 0, h, s))
    chaining_key, key = hkdf(chaining_key, dh(PRIVATE_S, e_c))
    message_2 += mix_hash(seal(key, 0, h, b""))
    return hello_c + message_1, hello_s + message_2, hkdf(chaining_key, b""), h


def login(h):
    """What the server keeps, and what both send."""
    memory, passes, lanes = ARGON2
    kdf = Argon2id(salt=SALT, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    stretched = kdf.derive(PASSWORD.encode())
    client_key = hmac_sha256(stretched, b"chat5 client key")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac_sha256(stretched, b"chat5 server key")
    a = b"chat5 login v1" + h + bytes([len(USER)]) + USER.encode() + SALT
    a += memory.to_bytes(4, "big") + passes.to_bytes(4, "big") + bytes([lanes])
    mask = hmac_sha256(stored_key, a)
    return {
        "user": USER,
        "password": PASSWORD,
        "salt": SALT.hex(),
        "stretched": stretched.hex(),
        "stored_key": stored_key.hex(),
        "server_key": server_key.hex(),
        "proof": bytes(x ^ y for x, y in zip(client_key, mask)).hex(),
        "signature": hmac_sha256(server_key, a).hex(),
    }


def direction(key):
    """Its first record, the last one under the first key, and the first one under the second."""
    first, last = (seal(key, number, b"", PAYLOAD) for number in (0, REKEY - 1))
    rekeyed = seal(rekey(key), REKEY, b"", PAYLOAD)
    return {"key": key.hex(), "first": first.hex(), "last": last.hex(), "rekeyed": rekeyed.hex()}


def main():
    message_1, message_2, (client, server), h = handshake()
    test = {
        "private_e_c": PRIVATE_E_C.hex(),
        "private_e_s": PRIVATE_E_S.hex(),
        "private_s": PRIVATE_S.hex(),
        "public_s": public(PRIVATE_S).hex(),
        "message_1": message_1.hex(),
        "message_2": message_2.hex(),
        "hash": h.hex(),
        "payload": PAYLOAD.hex(),
        "c2s": direction(client),
        "s2c": direction(server),
        "login": login(h),
    }
    print(json.dumps({"source": "docs/interop/noise_vector.py", "tests": [test]}, indent=2))


if __name__ == "__main__":
    main()
