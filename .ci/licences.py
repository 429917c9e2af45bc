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
    "reqwest": "one HTTP client is enough, and ours is ureq (crates/models)",
}
# Name -> the licence that it may have besides ALLOWED, and why.
EXCEPTIONS = {
    "option-ext": ("MPL-2.0", "comes with hf-hub by way of dirs; used unchanged, and MPL-2.0 binds its own files alone"),
    "colored": ("MPL-2.0", "comes with burn-tensor; used unchanged, and MPL-2.0 binds its own files alone"),
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


def reachable(metadata) -> set:
    """The ids of the packages that the workspace's members depend on, by whatever way."""
    command = ["cargo", "tree", "--locked", "--workspace", "--all-features", "--target", "all", "--prefix", "none",
               "-e", "normal,build,dev", "-f", "{p}"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    named = {tuple(line.split()[:2]) for line in lines if line}
    return {package["id"] for package in metadata["packages"] if (package["name"], f"v{package['version']}") in named}


def main() -> int:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    # The list has every package of the lock file, also those of features that nobody turns on (Burn's other backends);
    # what is ever built, tested or run is what can be reached from the workspace.
    built = reachable(metadata)
    packages = [package for package in metadata["packages"] if package["id"] in built]
    wrong = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["name"] in BANNED:
            wrong.append(f"{name} is banned: {BANNED[package['name']]}")
        if package["source"] not in (None, REGISTRY):
            wrong.append(f"{name} comes from {package['source']}")
        licence = package.get("license")
        if not licence:
            wrong.append(f"{name} names no licence")
        elif not allowed(licence) and EXCEPTIONS.get(package["name"], ("",))[0] != licence:
            wrong.append(f"{name} has licence {licence}")
    print("\n".join(wrong) or f"{len(packages)} packages: licences, sources and bans are in order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
