#!/usr/bin/env python3
"""Checks the worked examples in docs/protocol.md with another implementation of what the page says.

It is written from the page alone, and reads the page: numbers, labels and parameters are taken from
its tables and formulas, inputs and results from its examples. So it fails if the page is not enough,
or says something else than its examples show.

    check_protocol_page.py             prints what it checked; exit code 1 and a traceback if it is wrong
    check_protocol_page.py --needs     exit code 0 if all is there that it needs: Python 3.8, its package
                                       `cryptography`, and for Argon2id version 44 of it or `argon2-cffi`
"""

import hashlib
import hmac
import json
import re
import struct
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    CFB = modes.CFB

try:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    def argon2id(key, salt, kib, passes, lanes, length):
        kdf = Argon2id(
            salt=salt, length=length, iterations=passes, lanes=lanes, memory_cost=kib
        )
        return kdf.derive(key)

except ImportError:
    from argon2.low_level import Type, hash_secret_raw

    def argon2id(key, salt, kib, passes, lanes, length):
        return hash_secret_raw(key, salt, passes, kib, lanes, length, Type.ID)


PAGE = Path(__file__).resolve().parent.parent / "protocol.md"


def find(pattern, text):
    """The groups of a pattern that has to be in a text."""
    match = re.search(pattern, text)
    assert match, f"the page does not say {pattern!r} any more"
    return match.groups()


def section(page, title):
    """What stands below a heading of the second rank."""
    return find(rf"(?ms)^## {title}$(.*?)(?=^## |\Z)", page)[0]


def messages(text):
    """The JSON of the examples, in order."""
    return re.findall(r"(?m)^```json (?:request|event)\n(.*)\n```$", text)


class Lines:
    """The left and right columns of an example; a line without the right one goes on."""

    def __init__(self, text):
        self.items = []
        for line in filter(None, text.splitlines()):
            digits, bar, meaning = line.partition("|")
            if bar:
                self.items.append([meaning.strip(), b""])
            self.items[-1][1] += bytes.fromhex(digits)

    def take(self, meaning):
        """The next bytes, which have to be explained so; and what is behind that explanation."""
        found, value = self.items.pop(0)
        assert found.startswith(meaning), f"{meaning!r} has to come, and not {found!r}"
        return value, found[len(meaning) :].lstrip(": ")

    def frame(self, kind):
        """The next frame, whose kind is one of the table, as its items."""
        length, shown = self.take("length")
        number, _ = self.take("kind")
        assert number == bytes.fromhex(kind)
        (length,) = struct.unpack(">I", length)
        assert length == int(shown)
        items, size = [], 1
        while size < length:
            items.append(self.items.pop(0))
            size += len(items[-1][1])
        assert size == length, "what is in a frame fills it"
        return items


def public(kex, private):
    """The share of a private key."""
    if kex == "p256":
        key = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
        return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    key = x25519.X25519PrivateKey.from_private_bytes(private)
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def agree(kex, private, share):
    """The shared secret; the library refuses what is no point and a result that is all zero."""
    if kex == "p256":
        assert len(share) == 65 and share[0] == 4
        key = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), share)
        return key.exchange(ec.ECDH(), point)
    key = x25519.X25519PrivateKey.from_private_bytes(private)
    return key.exchange(x25519.X25519PublicKey.from_public_bytes(share))


class Direction:
    """One direction of a session: records, and how many there have been."""

    def __init__(self, cipher, key):
        self.cipher, self.key, self.count = cipher, key, 0

    def body(self, plaintext, iv=None):
        """The body of the next record that holds this."""
        if self.cipher == "aes-256-cfb":
            cfb = Cipher(algorithms.AES(self.key), CFB(iv)).encryptor()
            return iv + cfb.update(plaintext) + cfb.finalize()
        nonce = bytes(4) + struct.pack(">Q", self.count)
        self.count += 1
        return AESGCM(self.key).encrypt(nonce, plaintext, None)

    def plaintext(self, body):
        """What the next record holds, which somebody else may have made."""
        if self.cipher == "aes-256-cfb":
            cfb = Cipher(algorithms.AES(self.key), CFB(body[:16])).decryptor()
            return cfb.update(body[16:]) + cfb.finalize()
        nonce = bytes(4) + struct.pack(">Q", self.count)
        return AESGCM(self.key).decrypt(nonce, body, None)


def is_refused(cipher, key, body):
    """Whether a changed record is noticed."""
    try:
        Direction(cipher, key).plaintext(body[:-1] + bytes([body[-1] ^ 1]))
    except InvalidTag:
        return True
    return False


def check_session(page, name):
    """A session: the keys that follow from its frames, and its records."""
    example = Lines(find(rf"(?s)```bytes {name}\n(.*?)```", page)[0])
    private_c, _ = example.take("the client's private key")
    private_s, _ = example.take("the server's private key")

    numbers = section(page, "The handshake").split("| number |")
    names = [dict(re.findall(r"(?m)^\| `(\d\d)` \| `(\S+)` \|", table)) for table in numbers[1:]]
    hello, answer, last = (example.frame("20") for _ in range(3))
    bodies = [b"".join(value for _, value in items) for items in (hello, answer, last)]
    _, random_c, random_s = (value for _, value in (hello[0], hello[2], answer[2]))
    for body, random in ((bodies[0], random_c), (bodies[1], random_s)):
        assert body[:5] == b"CHT2\x01" and body[5:37] == random and len(random) == 32
    allowed, chosen = bodies[0][37:], bodies[1][37:39]
    assert len(allowed) == 2 and all(a in (0, b) for a, b in zip(allowed, chosen))
    kex, cipher = (names[i][f"{number:02x}"] for i, number in enumerate(chosen))

    share_s, share_c = bodies[1][39:], bodies[2]
    assert (share_c, share_s) == (public(kex, private_c), public(kex, private_s))
    secret, salt = example.take("shared secret")[0], example.take("salt")[0]
    assert secret == agree(kex, private_c, share_s) == agree(kex, private_s, share_c)
    assert salt == hashlib.sha256(b"".join(bodies)).digest()

    schedule = section(page, "The key schedule")
    keys = []
    for who, way in (("client", "c2s"), ("server", "s2c")):
        label, length = find(rf'{who} key .*HKDF-Expand\(prk, "(.*{way})", (\d+)\)', schedule)
        label = label.replace("KEX", kex).replace("CIPHER", cipher).encode()
        hkdf = HKDF(algorithm=hashes.SHA256(), length=int(length), salt=salt, info=label)
        keys.append(hkdf.derive(secret))
        assert example.take(f"the {who}'s key, {way}")[0] == keys[-1]

    (label,) = find(r'fingerprint = SHA-256\("(.*)" ‖ salt\)', schedule)
    digest = hashlib.sha256(label.encode() + salt).digest()
    for at in range(0, 20, 5):
        value, digits = example.take("fingerprint")
        assert value == digest[at : at + 5]
        assert digits == f"{int.from_bytes(value, 'big') % 100_000:05d}"

    plaintexts = [b"\x10" + text.encode() for text in messages(section(page, "Sessions in bytes"))]
    ways = [Direction(cipher, key) for key in keys]
    sent = [(ways[0], plaintexts[0]), (ways[1], plaintexts[1])]
    if cipher == "aes-256-gcm":
        sent.append((ways[0], b"\x12"))
    for way, plaintext in sent:
        items = example.frame("21")
        body = b"".join(value for _, value in items)
        assert way.plaintext(body) == plaintext
        assert way.body(plaintext, items[0][1]) == body
        if way.count < 2:
            assert is_refused(cipher, way.key, body) == (cipher == "aes-256-gcm")
    assert not example.items, f"nobody has looked at {example.items}"

    if name == "p256":
        log = find(r"(?s)```text\n(CHAT2.*?)```", page)[0]
        lines = zip(("CHAT2_C2S", "CHAT2_S2C"), keys)
        assert log == "".join(f"{word} {random_c.hex()} {key.hex()}\n" for word, key in lines)
    print(f"a session with {kex} and {cipher}")


def check_login(page):
    """Stage 5's own handshake, the login and the records after it, from the private keys."""
    text = section(page, "Stage 5's handshake")
    (name,) = find(r"(?m)^\| `01` \| `(\S+)` \|$", text)
    example = Lines(find(r"(?s)```bytes noise\n(.*?)```", page)[0])
    client, server, static = (
        example.take(f"the {whose} private key{when}")[0]
        for whose, when in (("client's", " for"), ("server's", " for"), ("server's own", ""))
    )
    messages_sent = [example.frame("20") for _ in range(2)]
    assert messages_sent[0][3][0] == messages_sent[1][2][0] == f"suite: {name}"
    bodies = [b"".join(value for _, value in items) for items in messages_sent]
    (hello_c, e_c), (hello_s, e_s) = ((body[:-32], body[-32:]) for body in (bodies[0], bodies[1][:38]))
    enc_s, tag = bodies[1][38:86], bodies[1][86:]
    assert (hello_c, hello_s, len(tag)) == (b"CHT5\x01\x01\x01", b"CHT5\x01\x01", 16)
    assert (e_c, e_s) == (public("x25519", client), public("x25519", server))

    def mix(data):
        nonlocal h
        h = hashlib.sha256(h + data).digest()

    def hkdf(key, data):
        keys = HKDF(algorithm=hashes.SHA256(), length=64, salt=key, info=b"").derive(data)
        return keys[:32], keys[32:]

    def seal(key, data, plain):
        return AESGCM(key).encrypt(bytes(12), plain, data)

    h = ck = name.encode().ljust(32, b"\0")
    mix(hello_c + hello_s)
    assert example.take("h after the prologue")[0] == h
    for data in (e_c, b"", e_s):
        mix(data)
    assert example.take("h after e_s")[0] == h
    secret = agree("x25519", server, e_c)
    assert example.take("ee")[0] == secret == agree("x25519", client, e_s)
    ck, k = hkdf(ck, secret)
    assert (example.take("ck after ee")[0], example.take("k of enc_s")[0]) == (ck, k)
    s, _ = example.take("s, the server's public key")
    assert s == public("x25519", static) and enc_s == seal(k, h, s)
    mix(enc_s)
    assert example.take("h after enc_s")[0] == h
    secret = agree("x25519", static, e_c)
    assert example.take("es")[0] == secret == agree("x25519", client, s)
    ck, k = hkdf(ck, secret)
    assert (example.take("ck after es")[0], example.take("k of tag")[0]) == (ck, k)
    assert tag == seal(k, h, b"")
    mix(tag)
    assert example.take("h after tag")[0] == h
    keys = hkdf(ck, b"")
    for who, way, key in (("client", "c2s", keys[0]), ("server", "s2c", keys[1])):
        assert example.take(f"the {who}'s key, {way}")[0] == key
    (label,) = find(r'fingerprint = SHA-256\("(.*)" ‖ h\)', text)
    digest, groups = hashlib.sha256(label.encode() + h).digest(), []
    for at in range(0, 20, 5):
        value, digits = example.take("fingerprint")
        assert value == digest[at : at + 5]
        assert digits == f"{int.from_bytes(value, 'big') % 100_000:05d}"
        groups.append(digits)
    assert f"fingerprint={'-'.join(groups)}\n" in text
    digits = hashlib.sha256(s).hexdigest()
    shown = " ".join(digits[at : at + 8] for at in range(0, 64, 8))
    assert f"```text\n{s.hex()}\n{shown}\n```" in text

    text = section(page, "The login")
    password, shown = example.take("password")
    assert password == shown.encode()
    salt, _ = example.take("salt")
    numbers = find(r"(\d+) KiB of memory, (\d+) passes, (\d+) lane, (\d+) bytes", text)
    kib, passes, lanes, length = map(int, numbers)
    stretched = argon2id(password, salt, kib, passes, lanes, length)

    def mac(key, data):
        return hmac.new(key, data, hashlib.sha256).digest()

    labels = [find(rf'{name} = HMAC\(K, "(.*)"\)', text)[0].encode() for name in ("CK", "VK")]
    ck, vk = (mac(stretched, label) for label in labels)
    sk = hashlib.sha256(ck).digest()
    for name, value in (("K", stretched), ("CK", ck), ("SK", sk), ("VK", vk)):
        assert example.take(name)[0] == value
    (purpose,) = find(r'A  = "(.*?)" ‖ h', text)
    user = b"alice"
    a = purpose.encode() + h + bytes([len(user)]) + user + salt + struct.pack(">IIB", kib, passes, lanes)
    assert example.take("A")[0] == a
    proof = bytes(x ^ y for x, y in zip(ck, mac(sk, a)))
    signature = mac(vk, a)
    assert (example.take("proof")[0], example.take("signature")[0]) == (proof, signature)

    kinds = {what: int(kind, 16) for kind, what in re.findall(r"(?m)^\| `(3\d)` \| the \w+ \| (\w+) \|", text)}
    request, event = (b"\x10" + shown.encode() for shown in messages(text))
    ways = {"client": Direction("aes-256-gcm", keys[0]), "server": Direction("aes-256-gcm", keys[1])}
    for who, plaintext in (
        ("server", bytes([kinds["welcome"], 2])),
        ("client", bytes([kinds["user"]]) + user),
        ("server", bytes([kinds["salt"]]) + salt),
        ("client", bytes([kinds["proof"]]) + proof),
        ("server", bytes([kinds["signature"]]) + signature),
        ("client", request),
        ("server", event),
        ("client", b"\x12"),
    ):
        assert example.items[0][0].startswith(f"{who}, length: ")
        example.items[0][0] = example.items[0][0][len(who) + 2 :]
        body = b"".join(value for _, value in example.frame("21"))
        assert ways[who].body(plaintext) == body
    assert not example.items, f"nobody has looked at {example.items}"

    log = find(r"(?s)```text\n(CHAT5.*?)```", page)[0]
    lines = zip(("CHAT5_C2S", "CHAT5_S2C"), keys)
    assert log == "".join(f"{word} {e_c.hex()} {key.hex()}\n" for word, key in lines)
    print("stage 5's handshake and login")
    return keys


def check_rekey(page, keys):
    """A new key after 2^20 records, with the keys of the session before."""
    (bits,) = find(r"n mod 2\^(\d+) = 0", section(page, "Records"))
    example = Lines(find(r"(?s)```bytes rekey\n(.*?)```", page)[0])
    for who, key in zip(("client", "server"), keys):
        assert example.take(f"the {who}'s key")[0] == key
        way = Direction("aes-256-gcm", key)
        assert example.take("record 0")[0] == way.body(b"\x10hi")
        way.count = 2 ** int(bits) - 1
        assert example.take("record 2^20 - 1")[0] == way.body(b"\x10hi")
        nonce = bytes(4) + struct.pack(">Q", 2**64 - 1)
        way.key = AESGCM(key).encrypt(nonce, bytes(32), None)[:32]
        assert example.take("the key after it")[0] == way.key
        assert example.take("record 2^20")[0] == way.body(b"\x10hi")
    assert not example.items, f"nobody has looked at {example.items}"
    print("a new key")


def check_secret(page):
    """A secret: from its key and text, and as the recipient opens it."""
    text = section(page, "Secrets")
    example = Lines(find(r"(?s)```bytes secret\n(.*?)```", text)[0])
    key, shown = example.take("KEY")
    assert key == shown.encode()
    salt, _ = example.take("salt")
    kib, passes, lanes, length = map(
        int, find(r"Argon2id\(KEY, salt\), (\d+) KiB of memory, (\d+) passes, (\d+) lane, (\d+) bytes", text)
    )
    stretched = argon2id(key, salt, kib, passes, lanes, length)
    assert example.take("the key that Argon2id makes")[0] == stretched
    nonce, _ = example.take("nonce")
    data, _ = example.take("associated data")
    (purpose,) = find(r'associated data = "(.*?)" ‖', text)
    plain, shown = example.take("text")
    assert plain == shown.encode()
    sealed = salt + nonce + example.take("ciphertext")[0] + example.take("tag")[0]
    assert (len(salt), len(nonce), example.items) == (16, 12, [])

    shown = [json.loads(text) for text in messages(page)]
    request, event = (message for message in shown if message["type"] == "secret")
    assert request["sealed"] == event["sealed"] == sealed.hex()
    names = [event[name].lower().encode() for name in ("from", "to")]
    assert data == purpose.encode() + b"".join(bytes([len(name)]) + name for name in names)
    assert AESGCM(stretched).encrypt(nonce, plain, data) == sealed[28:]
    print("a secret")


def check_file(page):
    """A file on its way: each frame by the page's tables, and what the frames say of each other."""
    text = section(page, "Files")
    limits = dict(re.findall(r"(?m)^\| (.*?) \| (.*?) \|$", section(page, "Limits")))
    header = [int(size) for size in re.findall(r"(?m)^\| (\d) \| (?:id|offset)", text)]
    assert header == [4, 8]

    example = Lines(find(r"(?s)```bytes file\n(.*?)```", text)[0])
    frames = []
    while example.items:
        length, way = example.take("")
        (length,) = struct.unpack(">I", length)
        who, shown = find(r"^(.*), length: (\d+)$", way)
        kind, shown_kind = example.take("kind")
        payload = b""
        while len(payload) < length - 1:
            payload += example.items.pop(0)[1]
        assert len(payload) == length - 1 == int(shown) - 1, "what is in a frame fills it"
        if kind == b"\x10":
            frames.append((who, json.loads(payload)))
        else:
            assert (kind, shown_kind) == (b"\x11", "chunk")
            identity, offset = struct.unpack(">IQ", payload[: sum(header)])
            chunk = {"type": "chunk", "id": identity, "offset": offset, "bytes": payload[12:]}
            frames.append((who, chunk))

    to_server, from_server = {}, {}
    for who, message in frames:
        (to_server if who.endswith(" to the server") else from_server)[message["type"]] = message
    assert all(message.get("id", 1) == 1 for _, message in frames), "one number for all"
    types = [message["type"] for _, message in frames]
    order = "offer offered offer accept go chunk chunk ack ack end end received received done"
    assert types == order.split()
    for passed_on in ("chunk", "end", "ack"):
        assert to_server[passed_on] == from_server[passed_on]
    offer, chunk, end = (to_server[word] for word in ("offer", "chunk", "end"))
    assert from_server["offered"]["tag"] == offer["tag"] and "tag" not in from_server["offer"]
    passed_on = {field: value for field, value in offer.items() if field != "tag"}
    assert {**from_server["offer"], **passed_on} == from_server["offer"]
    assert chunk["offset"] == 0 and len(chunk["bytes"]) == offer["size"] == end["size"]
    assert to_server["ack"]["offset"] == end["size"]
    assert end["sha256"] == hashlib.sha256(chunk["bytes"]).hexdigest()

    window = find(r"(?s)```text\n( +alice's ack +may send to\n.*?)```", text)[0].splitlines()
    (most,) = find("^([0-9,]+) bytes$", limits["the window: beyond what is acknowledged, at most"])
    said, sent = {"bob": 0, "carol": 0}, 0
    for line in window[1:]:
        who, what, told, may = find(r"^(.*?): (.*?) +(\d+) +(\d+)$", line)
        if who == "alice":
            sent = int(what.split()[-1])
            assert sent <= int(may)
        elif who in said:
            said[who] = int(what.split()[-1])
            assert said[who] <= sent
        assert int(told) == min(said.values())
        assert int(may) == int(told) + int(most.replace(",", ""))
    print("a file, and its window")


if __name__ == "__main__" and sys.argv[1:] != ["--needs"]:
    PAGE_TEXT = PAGE.read_text(encoding="utf-8")
    check_session(PAGE_TEXT, "p256")
    check_session(PAGE_TEXT, "x25519")
    check_rekey(PAGE_TEXT, check_login(PAGE_TEXT))
    check_secret(PAGE_TEXT)
    check_file(PAGE_TEXT)
