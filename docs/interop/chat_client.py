#!/usr/bin/env python3
"""A second chat client, written from docs/protocol.md alone. Read the two side by side.

    chat_client.py ADDR NAME               at a server of stage 1 or 4, which is plaintext
    chat_client.py ADDR NAME --secure      at one of stage 2 or 3 (or 5, started with --kex)
        [--kex p256|x25519] [--cipher aes-256-cfb|aes-256-gcm]
    chat_client.py ADDR NAME --noise       at one of stage 5
        [--server-key HEX]                                     and no other server
        [--password-file FILE]                                 which asks for a password
    chat_client.py ADDR --login NAME --password-file FILE      the same, where NAME has an account
    ... [--downloads DIR] [--max-file BYTES]                   where files go, and the largest

What encrypts needs the package cryptography, and a password version 44 of it, or argon2-cffi.

A line of input is said to the room; `@NAME text` is private, `@names` asks who is here, and
`@send PATH [NAME]` offers a file to one person or to all (stages 4 and 5). Files that others offer
are taken; `@cancel N` gives file N up. `@quit` leaves, and so does the end of the input, when the
own files are through.
Exit code 0: left; 1: something went wrong; 2: wrong usage.
"""

import argparse
import hashlib
import hmac
import itertools
import json
import os
import queue
import re
import select
import socket
import struct
import sys
import tempfile
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
try:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
except ImportError:
    Argon2id = None  # older versions
try:
    import argon2.low_level
except ImportError:
    argon2 = None

MESSAGE, CHUNK, CLOSE, HANDSHAKE, RECORD = 0x10, 0x11, 0x12, 0x20, 0x21
LONGEST_FRAME, LONGEST_TEXT, UNREADABLE = 131_072, 4_096, 16
LARGEST_CHUNK, LEAST_CHUNK, WINDOW, LONGEST_FILE_NAME = 65_536, 1_024, 1_048_576, 200
TO_WELCOME, TO_PING, TO_END, TO_ANSWER = 10, 60, 120, 30  # seconds
KEX = {"p256": 1, "x25519": 2}
CIPHER = {"aes-256-cfb": 1, "aes-256-gcm": 2}
WELCOME, USER, SALT, PROOF, SIGNATURE, FAIL = range(0x30, 0x36)  # frames of a login
ROOMS = OPEN, ROOM, ACCOUNTS = b"\0", b"\1", b"\2"
NOISE, NOISE_SUITE = b"Noise_NX_25519_AESGCM_SHA256", 1
REKEY, LAST_NUMBER, LONGEST_PASSWORD = 2**20, 2**32, 1_024
ARGON2 = MEMORY, PASSES, LANES = 19_456, 2, 1  # the memory in KiB


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


# 2. Ciphers. Each of these is one direction: its key, and what has to change from record to record.


class Cfb:
    """Changes are not noticed."""

    def __init__(self, key):
        self.key = key

    def seal(self, text):
        iv = os.urandom(16)
        return iv + Cipher(algorithms.AES(self.key), CFB(iv)).encryptor().update(text)

    def open(self, sealed):
        iv, ciphertext = sealed[:16], sealed[16:]
        return Cipher(algorithms.AES(self.key), CFB(iv)).decryptor().update(ciphertext)


class Gcm:
    """Changes are noticed. The nonce is the number of the record, which is not sent: both count."""

    def __init__(self, key, rekeys=False):
        self.key, self.rekeys, self.number = key, rekeys, 0

    def seal(self, text):
        sealed = AESGCM(self.key).encrypt(self.nonce(), text, None)
        self.count()
        return sealed

    def open(self, sealed):
        text = AESGCM(self.key).decrypt(self.nonce(), sealed, None)
        self.count()
        return text

    def nonce(self):
        if self.rekeys and self.number == LAST_NUMBER:
            raise Broken("this connection has had all records that there can be")
        return struct.pack(">IQ", 0, self.number)

    def count(self):
        self.number += 1
        if self.rekeys and self.number % REKEY == 0:
            # The new key follows from the old one, and the old one not from the new one.
            nonce = struct.pack(">IQ", 0, 2**64 - 1)
            self.key = AESGCM(self.key).encrypt(nonce, bytes(32), None)[:32]


# 3. Records. `Secure` and `Noise` are used as `Plain` is, and nothing below knows which of the
# three it has. Whoever makes one shakes hands.


class Records:
    """Frames in records, each in one of its own."""

    def __init__(self, plain, ours, theirs):
        self.plain, self.ours, self.theirs = plain, ours, theirs
        self.gcm, self.closed = isinstance(ours, Gcm), False

    def send(self, frame):
        body = self.ours.seal(frame)
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
        try:
            frame = self.theirs.open(record[1:])
        except InvalidTag:
            raise Broken("a bad record: changed, repeated, left out or moved") from None
        self.closed = self.gcm and frame == bytes([CLOSE])
        return self.receive(deadline) if self.closed else frame


class Secure(Records):
    """After the handshake CHT2, in which nobody proves who they are."""

    def __init__(self, plain, kex, cipher, deadline):
        hello = b"CHT2\x01" + os.urandom(32) + bytes([KEX.get(kex, 0), CIPHER.get(cipher, 0)])
        plain.send(bytes([HANDSHAKE]) + hello)
        answer = hear_answer(plain, b"CHT2\x01", 39, deadline)
        allowed = [(k, c) for k in KEX for c in CIPHER if kex in (k, None) and cipher in (c, None)]
        chosen = [(k, c) for k, c in allowed if (KEX[k], CIPHER[c]) == (answer[37], answer[38])]
        if not chosen:
            raise Broken("the server chose a kex or a cipher that was not allowed")
        [(kex, cipher)] = chosen
        share, secret = agree(kex, answer[39:])
        plain.send(bytes([HANDSHAKE]) + share)

        salt = sha256(hello + answer + share)
        keys = (
            HKDF(hashes.SHA256(), 32, salt, f"chat2 {kex} {cipher} {way}".encode()).derive(secret)
            for way in ("c2s", "s2c")
        )
        super().__init__(plain, *map(Gcm if cipher == "aes-256-gcm" else Cfb, keys))
        shown = digits(sha256(b"chat2 fingerprint" + salt))
        self.session = f"session: kex={kex} cipher={cipher} fingerprint={shown}"


class Noise(Records):
    """After the handshake CHT5, in which the server has shown `server_key`, and that it has the
    private key to it. Is it the right server? First `check_key`, and only then `log_in`."""

    def __init__(self, plain, deadline):
        e = x25519.X25519PrivateKey.generate()
        hello_c, e_c = b"CHT5\x01" + bytes([1, NOISE_SUITE]), public(e)  # a list of one suite
        plain.send(bytes([HANDSHAKE]) + hello_c + e_c)
        answer = hear_answer(plain, b"CHT5\x01", 6, deadline)
        if answer[5] != NOISE_SUITE:
            raise Broken("the server chose a suite that was not offered")
        if len(answer) != 6 + 32 + 48 + 16:
            raise Broken("the server's answer is longer or shorter than that of its suite")
        hello_s, e_s, enc_s, tag = answer[:6], answer[6:38], answer[38:86], answer[86:]

        # Noise calls it `h` and `ck`: a hash of all that both have said, and what keys are made of.
        self.h = self.ck = NOISE.ljust(32, b"\0")
        self.mix_hash(hello_c + hello_s)
        self.mix_hash(e_c)  # -> e
        self.mix_hash(b"")
        self.mix_hash(e_s)  # <- e
        try:
            key = self.mix_key(exchange(e, e_s))  # ee
            self.server_key = self.open_hashed(key, enc_s)  # s
            key = self.mix_key(exchange(e, self.server_key))  # es
            self.open_hashed(key, tag)
        except InvalidTag:
            raise Broken("the handshake was changed, or the key is not the server's") from None
        except ValueError:  # `cryptography` refuses a secret that is all zero.
            raise Broken("the server's share is not one of x25519") from None
        ours, theirs = hkdf(self.ck, b"")
        super().__init__(plain, Gcm(ours, rekeys=True), Gcm(theirs, rekeys=True))
        del self.ck
        shown = digits(sha256(b"chat5 fingerprint" + self.h))
        self.session = f"session: kex=noise-nx cipher=aes-256-gcm fingerprint={shown}"

    def mix_hash(self, data):
        self.h = sha256(self.h + data)

    def mix_key(self, secret):
        """A key that is used once. The next one is made of this secret, too."""
        self.ck, key = hkdf(self.ck, secret)
        return key

    def open_hashed(self, key, sealed):
        """What is sealed, if nobody has changed it, and nothing that was said before."""
        text = AESGCM(key).decrypt(bytes(12), sealed, self.h)
        self.mix_hash(sealed)
        return text

    def check_key(self, pinned):
        """What is known of the key, for people. If it is the wrong one, it ends here."""
        shown = fingerprint(self.server_key)
        if pinned is None:
            return f"server key: not checked; compare its fingerprint with the server's\n  {shown}"
        if pinned != self.server_key:
            raise Broken(
                "THE SERVER HAS ANOTHER KEY than --server-key says. It was told nothing.\n"
                f"the fingerprint it has to have:\n  {fingerprint(pinned)}\n"
                f"the fingerprint it has:\n  {shown}"
            )
        return f"server key: as --server-key says; its fingerprint\n  {shown}"

    def log_in(self, user, password, pinned, deadline):
        """Both prove that they know the password, and neither says it. None is no password."""
        welcome = self.hear(WELCOME, 1, deadline)
        if welcome not in ROOMS:
            raise Broken("the server has an unknown kind of login")
        if welcome == OPEN and password is not None:
            raise Broken("this server asks for no password: it is not the one that yours is for")
        if welcome != OPEN and password is None:
            raise Broken("this server asks for a password: add --password-file FILE")
        if welcome == OPEN:
            return
        self.send(bytes([USER]) + user.encode())
        salt = self.hear(SALT, 16, deadline)
        key = argon2id(password, salt)  # This takes its time, also for whoever guesses.
        client_key, server_key = mac(key, b"chat5 client key"), mac(key, b"chat5 server key")
        # What is proved and signed. The hash is in it: it is worth nothing in another connection.
        what = b"chat5 login v1" + self.h + bytes([len(user)]) + user.encode() + salt
        what += struct.pack(">IIB", *ARGON2)
        mask = mac(sha256(client_key), what)
        self.send(bytes([PROOF]) + bytes(a ^ b for a, b in zip(client_key, mask)))
        failed = "wrong name or password" if pinned else "wrong password, or not your server"
        signature = self.hear(SIGNATURE, 32, deadline, failed)
        if not hmac.compare_digest(signature, mac(server_key, what)):
            raise Broken("the server has not proved that it knows your password: it is not yours")

    def hear(self, kind, length, deadline, failed="the login failed"):
        """What is in the next frame, of this kind: during a login nothing else is read."""
        frame = self.receive(deadline)
        if frame is None:
            raise Broken("the server ended the connection during the login")
        if frame == bytes([FAIL]):
            raise Broken(failed)
        if show_bye(frame):
            raise Broken("the server refused the login")
        if frame[0] != kind or len(frame) != 1 + length:
            raise Broken("what came is not what a login goes on with")
        return frame[1:]


def hear_answer(plain, begins, least, deadline):
    """What the server answers to the first message of a handshake."""
    frame = plain.receive(deadline)
    if frame is None:
        raise Broken("the server closed the connection during the handshake")
    if show_bye(frame):
        raise Broken("the server refused the handshake")
    if frame[0] != HANDSHAKE or not frame[1:].startswith(begins) or len(frame) < 1 + least:
        raise Broken("what the server answered is no handshake of this version")
    return frame[1:]


def agree(kex, theirs):
    """A new key pair: our share, and the secret that it has in common with the server's share."""
    try:
        if kex == "x25519":
            key = x25519.X25519PrivateKey.generate()
            share, secret = public(key), exchange(key, theirs)
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


def public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def exchange(key, theirs):
    return key.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(chaining_key, secret):
    """Two keys."""
    both = HKDF(hashes.SHA256(), 64, chaining_key, b"").derive(secret)
    return both[:32], both[32:]


def argon2id(password, salt):
    if Argon2id:
        kdf = Argon2id(salt=salt, length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY)
        return kdf.derive(password)
    kind = argon2.low_level.Type.ID
    return argon2.low_level.hash_secret_raw(password, salt, PASSES, MEMORY, LANES, 32, kind)


def digits(digest):
    """Four groups of five digits, of a session."""
    groups = (int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in (0, 5, 10, 15))
    return "-".join(f"{group:05}" for group in groups)


def fingerprint(key):
    """Eight groups of eight digits, of a server's key."""
    shown = sha256(key).hex()
    return " ".join(shown[at : at + 8] for at in range(0, 64, 8))


# 4. Messages, and what a person sees of them.

# The fields of each event, and how it is shown. Those about files are left to the threads of the
# files; `to?` may be missing, and `name:string` may be any string.
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
    "offered": ("tag id", None),
    "not-offered": ("tag text", None),
    "offer": ("id from to? name:string size", None),
    "go": ("id", None),
    "ack": ("id offset", None),
    "dropped": ("id name text", None),
    "received": ("id name", None),
    "done": ("id", None),
    "end": ("id size sha256", None),
    "abort": ("id text", None),
    "notice": ("text", "* {text}"),
    "refused": ("text", "! {text}"),
    "bye": ("reason text", "! {text}"),
    "ping": ("", None),
    "pong": ("", None),
}
OF_FILES = "offered not-offered offer go ack dropped received done end abort chunk".split()
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
    if field in ("tag", "id", "size", "offset"):
        return type(value) is int and 0 <= value < 2 ** (32 if field in ("tag", "id") else 64)
    if not isinstance(value, str) or value.encode() is None:
        return False
    if field == "status":
        return value in STATUS
    if field == "sha256":
        return re.fullmatch("[0-9A-Fa-f]{64}", value)
    return field in ("type", "text", "sealed", "reason", "string") or NAME.fullmatch(value)


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

    if frame[0] == CHUNK and 1 + 12 < len(frame) <= 1 + 12 + LARGEST_CHUNK:
        id, offset = struct.unpack_from(">IQ", frame, 1)
        return {"type": "chunk", "id": id, "offset": offset, "bytes": frame[13:]}
    came = json.loads(frame[1:].decode(), object_pairs_hook=undoubled)
    if frame[0] != MESSAGE or not isinstance(came, dict):
        raise ValueError
    if not is_right("type", came.get("type")) or came["type"] not in EVENTS:
        raise ValueError
    fields = {"type": "type"}
    for field in EVENTS[came["type"]][0].split():
        field, _, kind = field.partition(":")
        if not field.endswith("?") or field[:-1] in came:
            fields[field.rstrip("?")] = kind or field.rstrip("?")
    if came.keys() != fields.keys() or not all(is_right(fields[key], came[key]) for key in came):
        raise ValueError
    # What people write has bounds; what the server says (no `from`) has not.
    if "from" in came and "text" in came and not 1 <= len(came["text"].encode()) <= LONGEST_TEXT:
        raise ValueError
    return came


def show_frame(frame):
    """Shows what is in a frame. Returns the event, or None if it is unreadable."""
    try:
        came = event(frame)
    except (ValueError, RecursionError):
        show(f"! unreadable message: {escape(frame[1:101].decode(errors='replace'))}")
        return None
    if "people" in came:
        came["people"] = ", ".join(who["name"] + STATUS[who["status"]] for who in came["people"])
    if "members" in came:
        came["members"] = ", ".join(came["members"])
    if came["type"] not in OF_FILES and (line := EVENTS[came["type"]][1]):
        show(line.format_map({field: escape(value) for field, value in came.items()}))
    return came


def show_bye(frame):
    """Whether it is a `bye`, which is shown. Nobody has proved that they are the server: what else
    may be in it is not believed."""
    try:
        return event(frame)["type"] == "bye" and bool(show_frame(frame))
    except (ValueError, RecursionError):
        return False


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


class Outbox(queue.PriorityQueue):
    """Frames on their way out: messages overtake the chunks of files and their ends."""

    def __init__(self):
        super().__init__(maxsize=128)  # The windows of four files are 64 chunks.
        self.numbers = itertools.count()

    def add(self, frame, lane=0, block=True):
        """Adds a frame, or None, which is the end; queue.Full where it may not block."""
        self.put((lane, next(self.numbers), frame), block)

    def say(self, type, **fields):
        self.add(request(type, **fields), lane=int(type == "end"))


# 5. Files.

DEVICE = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]", re.I | re.ASCII)


def wrong_name(name):
    """What is wrong with the name of a file, or None. It is a label: nothing in it has a meaning."""
    if not 1 <= len(name.encode()) <= LONGEST_FILE_NAME:
        return f"its name has not 1 to {LONGEST_FILE_NAME} bytes"
    if re.search(r'[/\\<>:"|?*\u200c\u200d\ufe0f]', name) or HIDDEN.search(name):
        return "its name has a character in it that no file name may have"
    if name[0] in ".-" or name[-1] == "." or name[-1].isspace():
        return "its name begins or ends as no file name may"
    if DEVICE.fullmatch(name.split(".")[0].rstrip()):
        return "its name is that of a device"
    return None


class Files:
    """Each file has a thread, and an inbox with what the server says of it. So whoever reads from
    the server waits for no disk. In an inbox, None is the end of the connection."""

    def __init__(self, outbox, folder, largest):
        self.outbox, self.folder, self.largest = outbox, folder, largest
        self.tags = itertools.count(1)
        self.unanswered = {}  # by tag: inboxes of own offers that have no number yet
        self.inboxes = {}  # by number; what is over has none
        self.sending, self.receiving = [], []  # threads

    def hear(self, came):
        """Puts an event into the inbox where it belongs; what belongs nowhere is ignored."""
        if came["type"] in ("offered", "not-offered"):
            inbox, id = self.unanswered.pop(came["tag"], None), came.get("id")
            known = self.inboxes.get(id)
            if id is not None and (known or not inbox):
                # It is not what was offered here: somebody has changed it on its way.
                self.start(self.sending, self.give_back, id)
                came = {"type": "abort", "text": "the answer to an offer was changed on its way"}
                if known:
                    known.put(came)
            elif id is not None:
                self.inboxes[id] = inbox
        elif came["type"] == "offer":
            inbox = None
            # Those that are too many are refused by silence.
            if came["id"] not in self.inboxes and len(self.inboxes) < 64:
                self.inboxes[came["id"]] = new = queue.Queue()
                self.start(self.receiving, self.receive, came, new)
        else:
            inbox = self.inboxes.get(came["id"])
        # More than a window is not due. Its receiver will find a gap.
        if inbox and inbox.qsize() <= WINDOW // LEAST_CHUNK:
            inbox.put(came)

    def start(self, threads, work, *args):
        threads.append(threading.Thread(target=work, args=args, daemon=True))
        threads[-1].start()

    def give_back(self, id):
        """A thread of its own, for whoever reads waits for no outbox either."""
        self.outbox.say("abort", id=id, text="this was not offered")

    def finish(self):
        """Waits until the own files are through."""
        for thread in self.sending:
            thread.join()

    def close(self):
        """The connection is over: what is not complete is removed."""
        for inbox in list(self.inboxes.values()):
            inbox.put(None)
        for thread in self.receiving:
            thread.join(2)

    def cancel(self, number):
        """Gives a file up: an own one for all, another's for oneself. Its thread does it."""
        inbox = self.inboxes.get(int(number)) if re.fullmatch("[0-9]{1,10}", number) else None
        if not inbox:
            return show(f"! there is no file {escape(number)} on its way")
        inbox.put({"type": "cancel"})

    def cancelled(self, id, title):
        show(f"* {title}: cancelled")
        self.outbox.say("abort", id=id, text="cancelled")

    def offer(self, path, to):
        """Offers a file to one person, or to all if `to` is empty."""
        name = os.path.basename(path)
        missing = None if os.path.isfile(path) else "there is no such file"
        if wrong := missing or wrong_name(name):
            return show(f"! {escape(path)}: {wrong}")
        try:
            file = open(path, "rb")
        except OSError as why:
            return show(f"! {escape(path)}: {why.strerror}")
        size, inbox = os.fstat(file.fileno()).st_size, queue.Queue()
        tag = next(self.tags)
        self.unanswered[tag] = inbox
        self.outbox.say("offer", tag=tag, **({"to": to} if to else {}), name=name, size=size)
        self.start(self.sending, self.send, file, name, to or "all", size, tag, inbox)

    def answer(self, tag, inbox):
        """The answer to an offer. It may never come: under CFB nobody notices what is lost."""
        try:
            return inbox.get(timeout=TO_ANSWER)
        except queue.Empty:
            if self.unanswered.pop(tag, None):
                return {"type": "not-offered", "text": f"no answer within {TO_ANSWER} s"}
            return inbox.get()  # It is coming just now.

    def send(self, file, name, to, size, tag, inbox):
        """The thread of an own file."""
        title = f"{name} to {to}"
        id, sent, acked, going, digest = None, 0, 0, False, hashlib.sha256()
        try:
            while came := self.answer(tag, inbox) if id is None else inbox.get():
                who, why = came.get("name"), escape(came.get("text", ""))
                if came["type"] == "offered":
                    id = came["id"]
                    show(f"* offered {title} ({size} bytes); @cancel {id} takes it back")
                elif came["type"] == "dropped":
                    show(f"! {who} does not get {name}: {why}")
                elif came["type"] == "received":
                    show(f"* {who} has {name}")
                elif came["type"] == "done":
                    return show(f"* sent {title}")
                elif came["type"] in ("not-offered", "abort"):
                    return show(f"! {title}: {why}")
                elif came["type"] == "cancel":
                    return self.cancelled(id, title)
                elif came["type"] == "go":
                    going = True
                    show(f"* sending {name} ({size} bytes)")
                elif came["type"] == "ack":
                    acked = came["offset"]
                # As much as the window has room for; an empty file has only an end.
                while going:
                    length = min(LARGEST_CHUNK, size - sent)
                    if sent + length > acked + WINDOW:
                        break
                    chunk = file.read(length)
                    if len(chunk) < length or (sent + length == size and file.read(1)):
                        raise OSError(0, "it changed while it was sent")
                    if chunk:
                        header = struct.pack(">BIQ", CHUNK, id, sent)
                        self.outbox.add(header + chunk, lane=1)
                    digest.update(chunk)
                    sent += length
                    if sent == size:
                        self.outbox.say("end", id=id, size=size, sha256=digest.hexdigest())
                        going = False
        except OSError as why:
            show(f"! {title}: {why.strerror}")
            self.outbox.say("abort", id=id, text="it failed there")
        finally:
            file.close()
            self.inboxes.pop(id, None)

    def receive(self, offer, inbox):
        """The thread of a file that somebody offers. Its name and its size are what they say."""
        id, name, size, sender = offer["id"], offer["name"], offer["size"], offer["from"]
        try:
            wrong = wrong_name(name) or (size > self.largest and f"{size} bytes are too many")
            if wrong:
                show(f"! {sender} offers a file, but {wrong}")
                return self.outbox.say("refuse", id=id, text=wrong)
            os.makedirs(self.folder, exist_ok=True)
            part = tempfile.NamedTemporaryFile(dir=self.folder, prefix=".chat-", delete=False)
            try:
                with part:
                    title = f"{name} ({size} bytes) from {sender}"
                    show(f"* receiving {title}; @cancel {id} stops it")
                    self.outbox.say("accept", id=id)
                    if not self.write(part, offer, inbox):
                        return
                place = self.publish(part.name, name)
            finally:
                os.unlink(part.name)
            show(f"* received {name} ({size} bytes) from {sender} -> {place}")
            self.outbox.say("received", id=id)
        except OSError as why:
            show(f"! {escape(name)} from {sender}: {why.strerror}")
            self.outbox.say("abort", id=id, text="it failed there")
        finally:
            self.inboxes.pop(id, None)

    def write(self, part, offer, inbox):
        """Writes what comes of a file. Returns whether that is all of it, and unharmed."""
        id, size, offset, acked, digest = offer["id"], offer["size"], 0, 0, hashlib.sha256()
        while came := inbox.get():
            if came["type"] == "abort":
                show(f"! {offer['name']} from {offer['from']}: {escape(came['text'])}")
                return False
            if came["type"] == "cancel":
                return self.cancelled(id, f"{offer['name']} from {offer['from']}")
            if came["type"] == "chunk":
                if came["offset"] != offset or offset + len(came["bytes"]) > size:
                    raise OSError(0, "bytes came that were not due")
                part.write(came["bytes"])
                digest.update(came["bytes"])
                offset += len(came["bytes"])
                if inbox.empty() or offset - acked >= WINDOW // 4:
                    part.flush()
                    self.outbox.say("ack", id=id, offset=offset)
                    acked = offset
            if came["type"] == "end":
                expected = (came["size"], came["sha256"].lower())
                if not offset == size or (offset, digest.hexdigest()) != expected:
                    raise OSError(0, "what came is not what was sent")
                part.flush()
                if offset > acked:  # Before the disk takes its time.
                    self.outbox.say("ack", id=id, offset=offset)
                os.fsync(part.fileno())
                return True
        return False

    def publish(self, part, name):
        """Gives a complete file its name, or one with a number. A link replaces nothing."""
        stem, dot, extension = name.rpartition(".") if "." in name else (name, "", "")
        for copy in range(10_000):
            number = f" ({copy})" if copy else ""
            place = os.path.join(self.folder, stem + number + dot + extension)
            try:
                os.link(part, place)
                return place
            except FileExistsError:
                pass
        raise OSError(0, "there are too many files of this name")


# 6. The chat.


class Chat:
    """One thread reads from the server, one from the person, and one writes to the server. A client
    that does not read while it waits to write can block itself."""

    def __init__(self, channel, folder, largest):
        self.channel, self.outbox, self.left = channel, Outbox(), False
        self.files = Files(self.outbox, folder, largest)

    def run(self, name, deadline):
        """Chats until the person has left, and the server has taken everything and ends, too."""
        self.outbox.say("hello", chat5=1, name=name)
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
            event = show_frame(frame)
            came = event and event["type"]
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
            if came in OF_FILES:
                self.files.hear(event)
            over = over or came == "bye"

    def sign_of_life(self, type):
        try:
            self.outbox.add(request(type), block=False)
        except queue.Full:
            pass  # What the outbox is full of is a sign of life, too.

    def read_person(self):
        # Not `sys.stdin`: Python cannot end while a thread reads from that.
        for line in open(0, "rb", closefd=False):
            line = line.decode(errors="replace").rstrip("\r\n")
            to, text = line[1:].partition(" ")[::2] if line.startswith("@") else ("", line)
            if line == "@quit":
                return self.outbox.add(None)
            if line == "@names":
                self.outbox.say("names")
            elif to == "send" and text:
                # The whole rest of the line, if there is such a file.
                path, name = (text, "") if os.path.isfile(text) else text.rpartition(" ")[::2]
                self.files.offer(path or name, name if path else "")
            elif to == "cancel":
                self.files.cancel(text)
            elif line.startswith("@") and not (NAME.fullmatch(to) and text):
                show("! it knows @names, @quit, @send PATH [NAME], @cancel N and @NAME text")
            elif len(text.encode()) > LONGEST_TEXT:
                show(f"! a text has at most {LONGEST_TEXT} bytes")
            elif to:
                self.outbox.say("private", to=to, text=text)
            elif text:
                self.outbox.say("say", text=text)
        self.files.finish()
        self.outbox.add(None)

    def write(self):
        try:
            while frame := self.outbox.get()[2]:
                self.channel.send(frame)
            self.left = True
            self.channel.finish()
        except OSError:
            pass  # `run` finds it, too, and before it perhaps a `bye`.


def first_line(path):
    """A password: what is in the first line of a file, without its end."""
    with open(path, "rb") as file:
        password = re.sub(rb"\r?\n\Z", b"", file.readline(LONGEST_PASSWORD + 2))
    password.decode()  # ValueError, if it is no text
    if not 1 <= len(password) <= LONGEST_PASSWORD:
        raise ValueError
    return password


def arguments():
    """What is on the command line, checked."""
    parser = argparse.ArgumentParser(description="A chat client for stages 1 to 5.")
    parser.add_argument("addr", metavar="ADDR", help="the server, as HOST:PORT")
    parser.add_argument("name", metavar="NAME", nargs="?", help="what the others call you")
    parser.add_argument("--secure", action="store_true", help="the server is one of stage 2 or 3")
    parser.add_argument("--kex", choices=KEX, help="this key exchange and no other")
    parser.add_argument("--cipher", choices=CIPHER, help="this cipher and no other")
    parser.add_argument("--noise", action="store_true", help="the server is one of stage 5")
    parser.add_argument("--server-key", metavar="HEX", help="the key that the server has to have")
    parser.add_argument("--login", metavar="NAME", help="whose account it is; it is your NAME, too")
    parser.add_argument("--password-file", metavar="FILE", help="the password is its first line")
    parser.add_argument("--downloads", metavar="DIR", default="downloads", help="where files go")
    parser.add_argument("--max-file", metavar="BYTES", type=int, default=2**30, help="the largest")
    args = parser.parse_args()
    host, _, port = args.addr.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        parser.error("ADDR is HOST:PORT, such as 127.0.0.1:7001")
    args.host, args.port = host.strip("[]"), int(port)
    args.name = args.name or args.login or ""
    if not NAME.fullmatch(args.name):
        parser.error("a NAME has 1 to 20 letters, digits, _ or -")
    if args.login not in (None, args.name):
        parser.error(f"you log in as {args.login}, and cannot be called {args.name}")
    if args.login and not args.password_file:
        parser.error("--login needs --password-file")
    args.noise = args.noise or bool(args.password_file or args.server_key)
    if args.noise and args.secure:
        parser.error("with --secure nobody proves who they are: leave it out, or all the others")
    if (args.kex or args.cipher) and not args.secure:
        parser.error("--kex and --cipher need --secure")
    if (args.secure or args.noise) and not Cipher:
        parser.error("what encrypts needs Python's package cryptography")
    if args.password_file and not (Argon2id or argon2):
        parser.error("a password needs Python's package cryptography 44 or newer, or argon2-cffi")
    if args.server_key and not re.fullmatch("[0-9A-Fa-f]{64}", args.server_key):
        parser.error("--server-key is 64 hexadecimal digits, as the server says them at its start")
    args.server_key = bytes.fromhex(args.server_key) if args.server_key else None
    try:
        args.password = first_line(args.password_file) if args.password_file else None
    except OSError as why:
        parser.error(f"{args.password_file}: {why.strerror}")
    except ValueError:
        what = f"text of 1 to {LONGEST_PASSWORD:,} bytes"
        parser.error(f"{args.password_file}: its first line has to be {what}")
    return args


def connect(args, deadline):
    """Frames, as the server wants them."""
    plain = Plain(args.host, args.port)
    if args.secure:
        channel = Secure(plain, args.kex, args.cipher, deadline)
        print(channel.session, file=sys.stderr, flush=True)
        return channel
    if args.noise:
        channel = Noise(plain, deadline)
        verdict = channel.check_key(args.server_key)
        print(channel.session, verdict, sep="\n", file=sys.stderr, flush=True)
        channel.log_in(args.name, args.password, args.server_key, deadline)
        return channel
    return plain


def main():
    args = arguments()
    sys.stdout.reconfigure(encoding="utf-8")
    deadline = time.monotonic() + TO_WELCOME
    try:
        chat = Chat(connect(args, deadline), args.downloads, args.max_file)
        try:
            chat.run(args.name, deadline)
        finally:
            chat.files.close()
    except Broken as why:
        sys.exit(f"! {why}")
    except OSError as why:
        sys.exit(f"! {args.addr}: {why.strerror or why}")
    except KeyboardInterrupt:
        sys.exit(1)


if __name__ == "__main__":
    main()
