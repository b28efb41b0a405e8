"""What the binary is made of, out of `cargo metadata`: its package, and each package that it links or is built by on this target."""
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = "querygate"


def metadata() -> dict:
    host = re.search(r"host: (\S+)", subprocess.check_output(["rustc", "-vV"], text=True, cwd=ROOT)).group(1)
    command = ["cargo", "metadata", "--quiet", "--locked", "--offline", "--format-version", "1", "--filter-platform", host]
    return json.loads(subprocess.check_output(command, cwd=ROOT))


def linked(tree: dict) -> tuple[str, dict]:
    """The binary's package, and what each package that it links uses."""
    nodes = {node["id"]: node for node in tree["resolve"]["nodes"]}
    first = next(package["id"] for package in tree["packages"] if package["name"] == BINARY)
    found, open_ = {}, [first]
    while open_:
        package = open_.pop()
        if package in found:
            continue
        # What builds need is part of what ships: it may write code.
        uses = [dep["pkg"] for dep in nodes[package]["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]
        found[package] = sorted(set(uses))
        open_.extend(uses)
    return first, found
