#!/usr/bin/env python3
"""A second chat client, written from docs/protocol.md alone. Read the two side by side.

    chat_client.py ADDR NAME               at a server of stage 1, which is plaintext
    chat_client.py ADDR NAME --secure      at one of stages 2 and 3; needs the package cryptography
        [--kex p256|x25519] [--cipher aes-256-cfb|aes-256-gcm]

A line of input is said to the room; `@NAME text` is private, `@names` asks who is here, and `@quit`
or the end of the input leaves. Exit code 0: left; 1: something went wrong; 2: wrong usage.
"""

import argparse
import hashlib
import json
import os
import queue
import re
import select
import socket
import struct
import sys
import threading
import time

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, x25519
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:
    Cipher = None  # stage 1 does without
try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB  # its place in newer versions
except ImportError:
    CFB = Cipher and modes.CFB

MESSAGE, CLOSE, HANDSHAKE, RECORD = 0x10, 0x12, 0x20, 0x21
LONGEST_FRAME, LONGEST_TEXT, UNREADABLE = 131_072, 4_096, 16
TO_WELCOME, TO_PING, TO_END = 10, 60, 120  # seconds
KEX = {"p256": 1, "x25519": 2}
CIPHER = {"aes-256-cfb": 1, "aes-256-gcm": 2}


class Broken(Exception):
    """Why the connection cannot go on, in a sentence."""


# 1. Frames. Here, a frame is `bytes`: its kind, then its body. Only `Plain` knows of lengths.


class Plain:
    """Frames on a TCP connection."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=TO_WELCOME)
        self.socket.settimeout(None)
        self.buffer = b""

    def send(self, frame):
        self.socket.sendall(struct.pack(">I", len(frame)) + frame)

    def finish(self):
        """Ends this direction; the other one goes on."""
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self, deadline):
        """The next frame, or None at a clean end. A TimeoutError loses nothing that came."""
        while True:
            if len(self.buffer) >= 4:  # A read is not a frame: it may bring half of one, or twenty.
                end = 4 + struct.unpack_from(">I", self.buffer)[0]
                if not 4 < end <= 4 + LONGEST_FRAME:
                    raise Broken(f"the server sent a frame of a wrong length, {end - 4}")
                if len(self.buffer) >= end:
                    frame, self.buffer = self.buffer[4:end], self.buffer[end:]
                    return frame
            left = max(0, deadline - time.monotonic())
            if not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError("the server was silent for too long")
            piece = self.socket.recv(65_536)
            if not piece and self.buffer:
                raise Broken("the connection was cut off inside a frame")
            if not piece:
                return None
            self.buffer += piece


# 2. Records. `Secure` is used as `Plain` is, and nothing below knows which of them it has.


class Secure:
    """Frames in records, each in one of its own. Whoever makes one of these shakes hands."""

    def __init__(self, plain, kex, cipher, deadline):
        hello = b"CHT2\x01" + os.urandom(32) + bytes([KEX.get(kex, 0), CIPHER.get(cipher, 0)])
        plain.send(bytes([HANDSHAKE]) + hello)
        frame = plain.receive(deadline)
        if frame is None:
            raise Broken("the server closed the connection during the handshake")
        if frame[0] == MESSAGE:  # a `bye`, in plaintext
            show_frame(frame)
            raise Broken("the server refused the handshake")
        answer = frame[1:]
        if frame[0] != HANDSHAKE or answer[:5] != b"CHT2\x01" or len(answer) < 39:
            raise Broken("what the server answered is no handshake of this version")
        allowed = [(k, c) for k in KEX for c in CIPHER if kex in (k, None) and cipher in (c, None)]
        chosen = [(k, c) for k, c in allowed if (KEX[k], CIPHER[c]) == (answer[37], answer[38])]
        if not chosen:
            raise Broken("the server chose a kex or a cipher that was not allowed")
        [(kex, cipher)] = chosen
        share, secret = agree(kex, answer[39:])
        plain.send(bytes([HANDSHAKE]) + share)

        salt = hashlib.sha256(hello + answer + share).digest()
        self.ours, self.theirs = (
            HKDF(hashes.SHA256(), 32, salt, f"chat2 {kex} {cipher} {way}".encode()).derive(secret)
            for way in ("c2s", "s2c")
        )
        digest = hashlib.sha256(b"chat2 fingerprint" + salt).digest()
        groups = (int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in (0, 5, 10, 15))
        fingerprint = "-".join(f"{group:05}" for group in groups)
        self.session = f"session: kex={kex} cipher={cipher} fingerprint={fingerprint}"
        self.plain, self.gcm, self.closed = plain, cipher == "aes-256-gcm", False
        self.sent = self.received = 0  # how many records, each way: what GCM's nonces are made of

    def send(self, frame):
        if self.gcm:
            body = AESGCM(self.ours).encrypt(struct.pack(">IQ", 0, self.sent), frame, None)
        else:
            iv = os.urandom(16)
            body = iv + Cipher(algorithms.AES(self.ours), CFB(iv)).encryptor().update(frame)
        self.sent += 1
        self.plain.send(bytes([RECORD]) + body)

    def finish(self):
        if self.gcm:
            self.send(bytes([CLOSE]))
        self.plain.finish()

    def receive(self, deadline):
        record = self.plain.receive(deadline)
        if record is None and self.gcm and not self.closed:
            raise Broken("the connection was cut off: the server's close is missing")
        if record is None:
            return None
        if record[0] != RECORD or len(record) <= 1 + 16 or self.closed:
            raise Broken("a bad record: of another kind, empty, or after the close")
        if not self.gcm:
            iv, ciphertext = record[1:17], record[17:]
            return Cipher(algorithms.AES(self.theirs), CFB(iv)).decryptor().update(ciphertext)
        try:
            nonce = struct.pack(">IQ", 0, self.received)
            frame = AESGCM(self.theirs).decrypt(nonce, record[1:], None)
        except InvalidTag:
            raise Broken("a bad record: changed, repeated, left out or moved") from None
        self.received += 1
        self.closed = frame == bytes([CLOSE])
        return self.receive(deadline) if self.closed else frame


def agree(kex, theirs):
    """A new key pair: our share, and the secret that it has in common with the server's share."""
    try:
        if kex == "x25519":
            point = x25519.X25519PublicKey.from_public_bytes(theirs)
            key = x25519.X25519PrivateKey.generate()
            share = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            secret = key.exchange(point)
        else:
            if len(theirs) != 65 or theirs[0] != 4:  # `from_encoded_point` takes other forms, too.
                raise ValueError
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
            key = ec.generate_private_key(ec.SECP256R1())
            share = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            secret = key.exchange(ec.ECDH(), point)
        return share, secret
    except ValueError:  # `cryptography` checks the rest: on the curve, 32 bytes, not all zero.
        raise Broken(f"the server's share is not one of {kex}") from None


# 3. Messages, and what a person sees of them.

# The fields of each event, and how it is shown.
EVENTS = {
    "welcome": ("name people", None),
    "joined": ("name", "* {name} joined"),
    "left": ("name", "* {name} left"),
    "said": ("from text", "{from}: {text}"),
    "private": ("from to text", "{from} -> {to}: {text}"),
    "secret": ("from to sealed", "* a secret from {from} to {to}, which this client cannot open"),
    "group": ("from group text", "{from} -> #{group}: {text}"),
    "names": ("people", "* here: {people}"),
    "status": ("name status", "* {name} is {status}"),
    "group-set": ("group owner members", "* {owner} made the group {group}: {members}"),
    "group-left": ("group name", "* {name} left the group {group}"),
    "group-owner": ("group owner", "* {owner} owns the group {group} now"),
    "group-deleted": ("group by", "* {by} deleted the group {group}"),
    "typing": ("name", None),
    "notice": ("text", "* {text}"),
    "refused": ("text", "! {text}"),
    "bye": ("reason text", "! {text}"),
    "ping": ("", None),
    "pong": ("", None),
}
NAME = re.compile("[A-Za-z0-9_-]{1,20}")
STATUS = {"normal": "", "dnd": " (dnd)", "away": " (away)"}


def is_right(field, value):
    """Whether the value of a field is of its type; ValueError if it is half a surrogate pair."""
    if field == "people":
        return isinstance(value, list) and all(
            isinstance(person, dict)
            and person.keys() == {"name", "status"}
            and all(map(is_right, person.keys(), person.values()))
            for person in value
        )
    if field == "members":
        return isinstance(value, list) and all(is_right("name", name) for name in value)
    if not isinstance(value, str) or value.encode() is None:
        return False
    if field == "status":
        return value in STATUS
    return field in ("type", "text", "sealed", "reason") or NAME.fullmatch(value)


def request(type, **fields):
    """A message to the server, in a frame."""
    text = json.dumps({"type": type, **fields}, ensure_ascii=False, separators=(",", ":"))
    return bytes([MESSAGE]) + text.encode()


def event(frame):
    """The event in a frame. ValueError or RecursionError if there is none."""

    def undoubled(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    came = json.loads(frame[1:].decode(), object_pairs_hook=undoubled)
    if frame[0] != MESSAGE or not isinstance(came, dict):
        raise ValueError
    if not all(map(is_right, came.keys(), came.values())):
        raise ValueError
    if came.get("type") not in EVENTS or came.keys() != {"type", *EVENTS[came["type"]][0].split()}:
        raise ValueError
    # What people write has bounds; what the server says (no `from`) has not.
    if "from" in came and "text" in came and not 1 <= len(came["text"].encode()) <= LONGEST_TEXT:
        raise ValueError
    return came


def show_frame(frame):
    """Shows what is in a frame. Returns its type, or None if it is unreadable."""
    try:
        came = event(frame)
    except (ValueError, RecursionError):
        show(f"! unreadable message: {escape(frame[1:101].decode(errors='replace'))}")
        return None
    if "people" in came:
        came["people"] = ", ".join(who["name"] + STATUS[who["status"]] for who in came["people"])
    if "members" in came:
        came["members"] = ", ".join(came["members"])
    if line := EVENTS[came["type"]][1]:
        show(line.format_map({field: escape(value) for field, value in came.items()}))
    return came["type"]


# What a terminal obeys, what reorders what a reader sees, and what is invisible.
HIDDEN = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b\u200e-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def escape(text):
    return HIDDEN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def show(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# 4. The chat.


class Chat:
    """Three threads: one reads from the server, one from the person, and one writes to the server.
    A client that does not read while it waits to write can block itself."""

    def __init__(self, channel):
        self.channel, self.outbox, self.left = channel, queue.Queue(maxsize=64), False

    def run(self, name, deadline):
        """Chats until the person has left, and the server has taken everything and ends, too."""
        self.outbox.put(request("hello", chat5=1, name=name))
        threading.Thread(target=self.write, daemon=True).start()
        welcome = pinged = over = False
        unreadable = 0
        while True:
            try:
                frame = self.channel.receive(deadline)
            except TimeoutError:
                if pinged or not welcome:
                    raise
                self.sign_of_life("ping")
                pinged, deadline = True, deadline + TO_END - TO_PING
                continue
            if frame is None and self.left and not over:
                return
            if frame is None:
                raise Broken("the server closed the connection")
            pinged, deadline = False, time.monotonic() + TO_PING
            came = show_frame(frame)
            unreadable += came is None
            if unreadable == UNREADABLE or (came is None and not welcome):
                raise Broken("the server cannot be understood")
            if not welcome and came not in ("welcome", "bye"):
                raise Broken("the server does not begin with a welcome")
            if came == "welcome" and not welcome:
                welcome = True
                threading.Thread(target=self.read_person, daemon=True).start()
            if came == "ping":
                self.sign_of_life("pong")
            over = over or came == "bye"

    def sign_of_life(self, type):
        try:
            self.outbox.put_nowait(request(type))
        except queue.Full:
            pass  # What the outbox is full of is a sign of life, too.

    def read_person(self):
        # Not `sys.stdin`: Python cannot end while a thread reads from that.
        for line in open(0, "rb", closefd=False):
            line = line.decode(errors="replace").rstrip("\r\n")
            to, text = line[1:].partition(" ")[::2] if line.startswith("@") else ("", line)
            if line == "@quit":
                break
            if line == "@names":
                self.outbox.put(request("names"))
            elif line.startswith("@") and not (NAME.fullmatch(to) and text):
                show("! this client knows @names, @quit and @NAME text")
            elif len(text.encode()) > LONGEST_TEXT:
                show(f"! a text has at most {LONGEST_TEXT} bytes")
            elif to:
                self.outbox.put(request("private", to=to, text=text))
            elif text:
                self.outbox.put(request("say", text=text))
        self.outbox.put(None)

    def write(self):
        try:
            while frame := self.outbox.get():
                self.channel.send(frame)
            self.left = True
            self.channel.finish()
        except OSError:
            pass  # `run` finds it, too, and before it perhaps a `bye`.


def main():
    parser = argparse.ArgumentParser(description="A chat client for stages 1, 2 and 3.")
    parser.add_argument("addr", metavar="ADDR", help="the server, as HOST:PORT")
    parser.add_argument("name", metavar="NAME", help="what the others call you")
    parser.add_argument("--secure", action="store_true", help="the server is one of stage 2 or 3")
    parser.add_argument("--kex", choices=KEX, help="this key exchange and no other")
    parser.add_argument("--cipher", choices=CIPHER, help="this cipher and no other")
    args = parser.parse_args()
    host, _, port = args.addr.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        parser.error("ADDR is HOST:PORT, such as 127.0.0.1:7001")
    if not NAME.fullmatch(args.name):
        parser.error("a NAME has 1 to 20 letters, digits, _ or -")
    if (args.kex or args.cipher) and not args.secure:
        parser.error("--kex and --cipher need --secure")
    if args.secure and not Cipher:
        parser.error("--secure needs Python's package cryptography")
    sys.stdout.reconfigure(encoding="utf-8")
    deadline = time.monotonic() + TO_WELCOME
    try:
        channel = Plain(host.strip("[]"), int(port))
        if args.secure:
            channel = Secure(channel, args.kex, args.cipher, deadline)
            print(channel.session, file=sys.stderr, flush=True)
        Chat(channel).run(args.name, deadline)
    except Broken as why:
        sys.exit(f"! {why}")
    except OSError as why:
        sys.exit(f"! {args.addr}: {why.strerror or why}")
    except KeyboardInterrupt:
        sys.exit(1)


if __name__ == "__main__":
    main()
