#!/usr/bin/env python3
"""Parses a PowerShell script with tree-sitter's grammar and checks that every action it offers is one it does.

There is no PowerShell in the package registries, so this parses and does not run: PSScriptAnalyzer and Pester need a
machine that has it (`make powershell-test`).

    check_powershell.py deploy/deploy_linux_fixed.ps1
"""

import re
import sys

import tree_sitter
import tree_sitter_powershell

ACTIONS = ["Initialize", "Start", "Stop", "View-Logs", "Get-Status", "Test"]


def errors(node):
    if node.type == "ERROR" or node.is_missing:
        yield node
    for child in node.children:
        yield from errors(child)


def functions(node):
    if node.type == "function_statement":
        yield next(child.text.decode() for child in node.children if child.type == "function_name")
    for child in node.children:
        yield from functions(child)


def main(path):
    source = open(path, "rb").read()
    tree = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language())).parse(source)
    for node in errors(tree.root_node):
        sys.exit(f"{path}:{node.start_point[0] + 1}: cannot be parsed: {node.text.decode()[:60]!r}")
    text = source.decode()
    offered = re.search(r"\[ValidateSet\(([^)]*)\)\]\s*\[string\] \$Action", text).group(1)
    offered = re.findall(r"'([^']+)'", offered)
    if offered != ACTIONS:
        sys.exit(f"{path}: the actions are {offered}, not {ACTIONS}")
    defined = set(functions(tree.root_node))
    done = dict(re.findall(r"^    '([\w-]+)' \{ ([\w-]+) \}", text, re.MULTILINE))
    for action in ACTIONS:
        if done.get(action) not in defined:
            sys.exit(f"{path}: the action {action} calls {done.get(action)}, which is not there")
    called = set(re.findall(r"^    (Invoke-\w+)", text, re.MULTILINE))
    if not called <= defined:
        sys.exit(f"{path}: {called - defined} is called and not there")
    print(f"{path}: {len(defined)} functions, {len(ACTIONS)} actions")


if __name__ == "__main__":
    main(sys.argv[1])
