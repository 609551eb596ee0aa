#!/usr/bin/env python3
"""Trims files of Wycheproof to the groups and fields that are tested here, one test a line.

    trim.py FOLDER        the folder with Wycheproof's *_test.json; writes beside this script

Nothing within a test is changed; comments and what is the same in all tests of a group are left out.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
NOTICE = "Wycheproof, https://github.com/C2SP/wycheproof, Apache-2.0; trimmed by trim.py"
FILES = {
    "aes_gcm": ["key", "iv", "aad", "msg", "ct", "tag"],
    "x25519": ["public", "private", "shared"],
    "ecdh_secp256r1_ecpoint": ["public", "private", "shared"],
    "hkdf_sha256": ["ikm", "salt", "info", "size", "okm"],
}


def is_ours(name, group):
    """Of AES-GCM only what the records use: 256-bit key, 96-bit nonce, 128-bit tag."""
    sizes = (group.get("keySize"), group.get("ivSize"), group.get("tagSize"))
    return name != "aes_gcm" or sizes == (256, 96, 128)


for name, fields in FILES.items():
    source = json.loads((pathlib.Path(sys.argv[1]) / f"{name}_test.json").read_text())
    tests = [
        {field: test[field] for field in ["tcId", "flags", "result", *fields]}
        for group in source["testGroups"]
        if is_ours(name, group)
        for test in group["tests"]
    ]
    lines = ",\n".join(json.dumps(test, separators=(",", ":")) for test in tests)
    text = f'{{"source": {json.dumps(NOTICE)},\n"tests": [\n{lines}\n]}}\n'
    (HERE / f"wycheproof_{name}.json").write_text(text)

# RSA: each file has one key. Of other hashes only what must not be accepted instead, of 3072 bits only the key.
sets = []
for name in ["2048_sha256_mgf1sha256", "2048_sha1_mgf1sha1", "2048_sha256_mgf1sha1", "3072_sha256_mgf1sha256"]:
    source = json.loads((pathlib.Path(sys.argv[1]) / f"rsa_oaep_{name}_test.json").read_text())
    [group] = source["testGroups"]
    tests = [
        {field: test[field] for field in ["tcId", "flags", "result", "msg", "ct", "label"]}
        for test in group["tests"]
        if name == "2048_sha256_mgf1sha256" or (name.startswith("2048") and test["flags"] == ["Normal"])
    ]
    lines = ",\n".join(json.dumps(test, separators=(",", ":")) for test in tests)
    sets.append(f'{{"name": "{name}",\n"pkcs8": "{group["privateKeyPkcs8"]}",\n"tests": [\n{lines}\n]}}')
sets = ",\n".join(sets)
text = f'{{"source": {json.dumps(NOTICE)},\n"sets": [\n{sets}\n]}}\n'
(HERE / "wycheproof_rsa_oaep.json").write_text(text)
