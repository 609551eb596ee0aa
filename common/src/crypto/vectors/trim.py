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
