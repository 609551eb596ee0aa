#!/usr/bin/env python3
"""The handshake, the key schedule and the records of the encrypted stages, a second time.

Written from the protocol and the standards that it names, and not from the Rust, so that a mistake
in one of the two shows: a test of `common` runs this script and compares. It prints, as JSON, one
whole session for each suite, with fixed keys and fixed "random" bytes.

    key_schedule.py            needs Python 3.8 and its package `cryptography`
"""

import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HANDSHAKE, RECORD = 0x20, 0x21
KEX = {"p256": 1, "x25519": 2}
CIPHER = {"aes-256-cfb": 1, "aes-256-gcm": 2}

# Values that nobody would choose: each 32 or 16 bytes that count up from somewhere.
RANDOM_C, RANDOM_S = bytes(range(0x40, 0x60)), bytes(range(0x60, 0x80))
PRIVATE_C, PRIVATE_S = bytes(range(0x01, 0x21)), bytes(range(0x21, 0x41))
IVS_C, IVS_S = [bytes(range(0xA0, 0xB0)), bytes(range(0xB0, 0xC0))], [bytes(range(0xC0, 0xD0))]

# What is in the records: kind and body of a message. The first two go to the server.
SAID = [b'\x10{"type":"say","text":"hello"}', b'\x10{"type":"say","text":"a second one"}']
HEARD = b'\x10{"type":"said","from":"bob","text":"hello, alice"}'


def frame(kind, body):
    """A frame: the length of kind and body, 4 bytes big-endian, the kind, the body."""
    return struct.pack(">IB", 1 + len(body), kind) + body


def p256(private, peer=None):
    """The uncompressed point of a private key, or the x coordinate it has in common with a peer."""
    key = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
    if peer is None:
        return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), peer)
    return key.exchange(ec.ECDH(), point)


def curve25519(private, peer=None):
    """u of a private key (RFC 7748), or the secret it has in common with a peer."""
    key = x25519.X25519PrivateKey.from_private_bytes(private)
    if peer is None:
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key.exchange(x25519.X25519PublicKey.from_public_bytes(peer))


def hkdf_sha256(salt, ikm, info):
    """HKDF (RFC 5869) for one block of output, which is all that a 32-byte key needs."""
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def fingerprint(salt):
    """Four groups of five digits, each from five bytes of the hash."""
    digest = hashlib.sha256(b"chat2 fingerprint" + salt).digest()
    numbers = [int.from_bytes(digest[at : at + 5], "big") for at in (0, 5, 10, 15)]
    return "-".join(f"{number % 100_000:05d}" for number in numbers)


def cfb128(key, iv, plaintext):
    """CFB128 as SP 800-38A, section 6.3, defines it: each block is masked with the encryption of
    the ciphertext block before it."""
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    ciphertext, previous = b"", iv
    for at in range(0, len(plaintext), 16):
        block = plaintext[at : at + 16]
        previous = bytes(p ^ k for p, k in zip(block, aes.update(previous)))
        ciphertext += previous
    return ciphertext


def record(cipher, key, iv, number, plaintext):
    """The body of a record: IV and ciphertext, or ciphertext and tag under the record's number."""
    if cipher == "aes-256-cfb":
        return iv + cfb128(key, iv, plaintext)
    return AESGCM(key).encrypt(struct.pack(">IQ", 0, number), plaintext, None)


def session(kex, cipher):
    """One session: who sends what, and what follows from it."""
    agree = p256 if kex == "p256" else curve25519
    codes = bytes([KEX[kex], CIPHER[cipher]])
    bodies = [
        b"CHT2\x01" + RANDOM_C + codes,
        b"CHT2\x01" + RANDOM_S + codes + agree(PRIVATE_S),
        agree(PRIVATE_C),
    ]
    secret = agree(PRIVATE_C, agree(PRIVATE_S))
    assert secret == agree(PRIVATE_S, agree(PRIVATE_C))
    salt = hashlib.sha256(b"".join(bodies)).digest()
    label = f"chat2 {kex} {cipher} "
    client, server = (hkdf_sha256(salt, secret, (label + way).encode()) for way in ("c2s", "s2c"))
    lines = [("CHAT2_C2S", client), ("CHAT2_S2C", server)]
    said = [record(cipher, client, IVS_C[number], number, SAID[number]) for number in (0, 1)]
    heard = record(cipher, server, IVS_S[0], 0, HEARD)
    return {
        "kex": kex,
        "cipher": cipher,
        "private_c": PRIVATE_C.hex(),
        "private_s": PRIVATE_S.hex(),
        "handshake": [body.hex() for body in bodies],
        "frames": [frame(HANDSHAKE, body).hex() for body in bodies],
        "secret": secret.hex(),
        "salt": salt.hex(),
        "key_c2s": client.hex(),
        "key_s2c": server.hex(),
        "fingerprint": fingerprint(salt),
        "keylog": "".join(f"{name} {RANDOM_C.hex()} {key.hex()}\n" for name, key in lines),
        "said": [text.hex() for text in SAID],
        "said_records": [frame(RECORD, body).hex() for body in said],
        "heard": HEARD.hex(),
        "heard_record": frame(RECORD, heard).hex(),
    }


if __name__ == "__main__":
    sessions = [session(kex, cipher) for kex in KEX for cipher in CIPHER]
    print(json.dumps({"source": "docs/interop/key_schedule.py", "tests": sessions}, indent=1))
