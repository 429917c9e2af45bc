#!/usr/bin/env python3
"""Checks every dependency's licence and source against what ORFEAS allows.

cargo-deny does this and more, but wants an advisory database from outside the package registries and minutes of
compiling; this needs nothing but cargo itself.
"""

import json
import re
import subprocess
import sys

ALLOWED = {
    "MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "0BSD",
    "Unicode-3.0", "CC0-1.0", "Unlicense", "BSL-1.0", "CDLA-Permissive-2.0", "MIT-0",
}
# Name -> why it must not come in.
BANNED = {
    "openssl-sys": "TLS is rustls here, so that the binary needs no system library",
    "native-tls": "TLS is rustls here, so that the binary needs no system library",
    "reqwest": "nothing here talks HTTP to the outside",
}
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def allowed(expression: str) -> bool:
    """Whether an SPDX expression (AND, OR, parentheses; `/` as an old OR) can be satisfied by ALLOWED."""
    tokens = re.findall(r"\(|\)|[^\s()]+(?:\s+WITH\s+[^\s()]+)?", expression.replace("/", " OR "))

    def alternatives(at: int):
        value, at = conjunction(at)
        while at < len(tokens) and tokens[at] == "OR":
            other, at = conjunction(at + 1)
            value = value or other
        return value, at

    def conjunction(at: int):
        value, at = atom(at)
        while at < len(tokens) and tokens[at] == "AND":
            other, at = atom(at + 1)
            value = value and other
        return value, at

    def atom(at: int):
        if tokens[at] == "(":
            value, at = alternatives(at + 1)
            return value, at + 1
        return re.sub(r"\s+", " ", tokens[at]) in ALLOWED, at + 1

    return alternatives(0)[0]


def main() -> int:
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    wrong = []
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        if package["name"] in BANNED:
            wrong.append(f"{name} is banned: {BANNED[package['name']]}")
        if package["source"] not in (None, REGISTRY):
            wrong.append(f"{name} comes from {package['source']}")
        licence = package.get("license")
        if not licence:
            wrong.append(f"{name} names no licence")
        elif not allowed(licence):
            wrong.append(f"{name} has licence {licence}")
    print("\n".join(wrong) or f"{len(metadata['packages'])} packages: licences, sources and bans are in order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
