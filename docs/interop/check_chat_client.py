#!/usr/bin/env python3
"""Checks how `chat_client.py` shakes hands, logs in and counts records, with fixed numbers.

In place of a server it hears what `noise_vector.py` has computed, which is in
`common/src/crypto/vectors/noise.json`, and it has to say what is there, byte for byte. Then it hears
the same with a byte changed, and has to end.

    check_chat_client.py        needs what the client needs for a password
"""

import json
import time
from pathlib import Path
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import chat_client
from chat_client import Broken, Gcm, Noise

PROJECT = Path(__file__).resolve().parent.parent.parent
FILE = PROJECT / "common/src/crypto/vectors/noise.json"
HANDSHAKE, RECORD = b"\x20", b"\x21"


class Server:
    """What the client has in place of a connection: it hears these frames, and what it says is kept."""

    def __init__(self, frames):
        self.frames, self.said = list(frames), []

    def send(self, frame):
        self.said.append(frame)

    def receive(self, deadline):
        return self.frames.pop(0) if self.frames else None


def from_hex(value):
    """Hex in a text, or in all texts of a dict."""
    if isinstance(value, dict):
        return {key: from_hex(inner) for key, inner in value.items()}
    return bytes.fromhex(value)


def connected(known, frames):
    """A client with the fixed private key, after the handshake, and its server."""
    server = Server(frames)
    private = X25519PrivateKey.from_private_bytes(known["private_e_c"])
    with mock.patch.object(X25519PrivateKey, "generate", lambda: private):
        return Noise(server, time.monotonic()), server


def refused(part, work, *args):
    """It ends, and says why."""
    try:
        work(*args)
    except Broken as why:
        assert part in str(why), f"{part!r} is why, and not {why}"
        return
    raise AssertionError(f"it went on, in spite of {part!r}")


def sealed(known, way, texts):
    """Records of this direction, with the fixed key."""
    key = AESGCM(known[way]["key"])
    for number, text in enumerate(texts):
        yield RECORD + key.encrypt(bytes(4) + number.to_bytes(8, "big"), text, None)


def check_handshake(known):
    client, server = connected(known, [HANDSHAKE + known["message_2"]])
    assert server.said == [HANDSHAKE + known["message_1"]]
    assert (client.h, client.server_key) == (known["hash"], known["public_s"])
    assert (client.ours.key, client.theirs.key) == (known["c2s"]["key"], known["s2c"]["key"])
    for at in range(len(known["message_2"])):
        changed = bytearray(known["message_2"])
        changed[at] ^= 0x80
        # Also a bit of the share that X25519 leaves out: it is in the hash.
        refused("", connected, known, [HANDSHAKE + changed])
    for wrong in (known["message_2"][:-1], known["message_2"] + b"\0"):
        refused("longer or shorter", connected, known, [HANDSHAKE + wrong])
    print("the handshake")


def check_records(known):
    for way in (known["c2s"], known["s2c"]):
        sends, receives = Gcm(way["key"], rekeys=True), Gcm(way["key"], rekeys=True)
        for number, record in ((0, "first"), (2**20 - 1, "last"), (2**20, "rekeyed")):
            # Only the numbers between are left out: the key changes where it has to.
            sends.number = receives.number = number
            assert sends.seal(known["payload"]) == way[record], record
            assert receives.open(way[record]) == known["payload"]
        sends.number = 2**32 - 1
        sends.seal(b"")
        refused("all records", sends.seal, b"")
    print("records")


def check_key(known):
    client, server = connected(known, [HANDSHAKE + known["message_2"]])
    assert "not checked" in client.check_key(None)
    assert "as --server-key says" in client.check_key(known["public_s"])
    refused("ANOTHER KEY", client.check_key, bytes(32))
    assert len(server.said) == 1, "nothing is said to the wrong server"
    print("the server's key")


def check_login(known, login):
    user, password = login["user"], login["password"].encode()
    salt, signature = (bytes.fromhex(login[part]) for part in ("salt", "signature"))
    says = b"\x30\x02", b"\x32" + salt, b"\x34" + signature

    def log_in(says, password=password):
        frames = [HANDSHAKE + known["message_2"], *sealed(known, "s2c", says)]
        client, server = connected(known, frames)
        client.log_in(user, password, None, time.monotonic())
        return server.said[1:]

    proof = bytes.fromhex(login["proof"])
    assert log_in(says) == list(sealed(known, "c2s", [b"\x31" + user.encode(), b"\x33" + proof]))
    for at in range(32):
        changed = bytearray(signature)
        changed[at] ^= 1
        refused("not proved", log_in, [*says[:2], b"\x34" + changed])
    refused("not proved", log_in, [*says[:2], b"\x34" + proof])
    refused("wrong password, or not your server", log_in, [*says[:2], b"\x35"])
    refused("goes on with", log_in, [*says[:2], b"\x35\0"])
    refused("goes on with", log_in, [*says[:2], b"\x34" + signature + b"\0"])
    refused("goes on with", log_in, [says[0], b"\x32" + salt[1:]])
    refused("goes on with", log_in, [says[0], says[2]])
    refused("goes on with", log_in, [b'\x10{"type":"said","from":"bob","text":"hi"}'])
    refused("ended the connection", log_in, [b"\x30\x02", b"\x12"])
    refused("cut off", log_in, [b"\x30\x02"])
    refused("unknown kind", log_in, [b"\x30\x03"])
    refused("no password", log_in, [b"\x30\x00"])
    refused("asks for a password", log_in, [b"\x30\x01"], None)
    assert log_in([b"\x30\x00"], None) == []
    print("the login")


def main():
    [known] = json.loads(FILE.read_text(encoding="utf-8"))["tests"]
    login = known.pop("login")
    known = from_hex(known)
    check_handshake(known)
    check_records(known)
    check_key(known)
    check_login(known, login)


if __name__ == "__main__":
    main()
