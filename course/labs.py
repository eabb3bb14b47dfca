"""What skeleton, grade and check share: a lab's manifest, and the tree that its student gets.

A lab is a folder in labs/: the handout (README.md), the manifest (lab.json), the package of its
claims (claims/), and perhaps a package for the student to complete. The manifest has:

  title    one line
  package  the package of the claims
  files    what the student writes, and all that is taken from a submission
  empty    functions that a skeleton leaves out: file, function, body
  forbid   words that a submitted file may not have, each with the reason
  seconds  how long the grading of all claims may take
  claims   name, points, the sentence that must hold, and how it is asked:
             "cpus": [1, 2, 4]    a process on each number of CPUs
             "seeds": 50          a process on one CPU under each of these fuzzed schedules
             "loom": true         a model: every order of steps
             "qemu": [1, 2]       a machine with each number of CPUs; the package is a kernel
           Those without seeds and models stand first: if none of them holds, the others are not
           asked.
             "after": name        asked only if that other claim, which stands before it, holds
             "file", "matches"    a file that the student hands in beside the code
  counts   a package that tells what the lab's operations cost in instructions: a machine without a
           system, which QEMU starts once all claims of the code hold (see course/counting)
  machine  what QEMU is told beside what every machine is; {disk} and {seed} are filled in
"""

import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / "course"

# What a lab's tree has of this repository, beside the lab.
PARTS = [
    "Cargo.lock",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    ".cargo/config.toml",
    "course/labs.py",
    "course/grade",
    "course/harness",
    "kernel/executive",
    "kernel/hosted",
]
# What a lab has besides that counts instructions.
OF_COUNTS = ["course/counting"]
# What a lab has besides whose claims are a kernel.
OF_MACHINES = ["kernel/Cargo.toml", "kernel/src", "kernel/x86_64-goroutine.json"]
# The tool that makes disk images. It takes minutes to build, so trees bring it along.
BOOT = "course/prebuilt/boot"
# Of a warm-up, for its teacher: the answers to the questions, and the wrong solutions.
WRONG = "wrong.json"
OF_TEACHERS = ["answers.md", WRONG]
# Tests of main's own, which a lab does without; they hold more than a skeleton should.
LEFT_OUT = ["kernel/executive/core/tests", "kernel/hosted/tests", "kernel/hosted/examples"]


def fail(words):
    print(words, file=sys.stderr)
    sys.exit(2)


def labs():
    return sorted(path.parent for path in (ROOT / "course/labs").glob("*/lab.json"))


class Lab:
    def __init__(self, folder, manifest=None):
        self.folder = folder
        self.name = folder.name
        self.manifest = json.loads((manifest or folder / "lab.json").read_text())

    def is_kernel(self):
        return "machine" in self.manifest

    def is_warm_up(self):
        """Main's own code is the answer."""
        return (self.folder / WRONG).is_file()

    def needs_qemu(self):
        return self.is_kernel() or "counts" in self.manifest

    def __getattr__(self, key):
        try:
            return self.manifest[key]
        except KeyError:
            raise AttributeError(key) from None


def find(name):
    """A lab by its number, its name, or both (`6`, `lock`, `6-lock`)."""
    for folder in labs():
        if name in (folder.name, *folder.name.split("-", 1)):
            return Lab(folder)
    fail(f"no lab is called '{name}'; there are: {', '.join(f.name for f in labs())}")


def without_sections(manifest, unwanted):
    """A Cargo.toml without the sections whose heads match."""
    kept, keep = [], True
    for line in manifest.splitlines():
        if line.startswith("["):
            keep = not re.search(unwanted, line)
        if keep:
            kept.append(line)
    return "\n".join(kept) + "\n"


# What only main's tests, examples and models need; and the model checker.
OF_TESTS = r"dev-dependencies\]$|^\[\[(test|example|bench)\]\]|cfg\(loom\)"
OF_MODELS = r"'cfg\(loom\)'"


def workspace(lab):
    """The Cargo.toml of the lab's tree: main's, with these members."""
    members = ["kernel/executive/core", "kernel/executive/services", "kernel/executive"]
    members += ["kernel"] if lab.is_kernel() else ["kernel/hosted", "course/harness"]
    members += OF_COUNTS if "counts" in lab.manifest else []
    members += [str(p.parent.relative_to(ROOT)) for p in sorted(lab.folder.rglob("Cargo.toml"))]
    text = (ROOT / "Cargo.toml").read_text()
    text = re.sub(r"(?m)^members = .*", "members = " + json.dumps(members), text)
    text = re.sub(r"(?m)^(default-members|exclude) = .*\n", "", text)
    machine = "kernel" if lab.is_kernel() else "hosted"
    others = rf"(?m)^(?!executive|{machine} )[\w-]+ = \{{ path = .*\n"
    text = re.sub(others, "", text)
    text = re.sub(r"(?m)^\[profile\.dev\.package\.embedded.*\n.*\n", "", text)
    return re.sub(r"(?m)^# As in the kernel: what it does with a damaged disk.*\n", "", text)


def with_body(text, function, body):
    """The text with another body for the one function of this name; its braces pair up."""
    at = re.search(r"\bfn " + re.escape(function) + r"\b[^{;]*", text)
    if not at:
        fail(f"no function is called '{function}'")
    depth, end = 0, at.end()
    while True:
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
        if depth == 0:
            return text[: at.end()] + body + text[end:]


def tree(lab):
    """The files of the lab's tree: path -> (contents, mode)."""
    files = {}

    def add(path):
        name = str(path.relative_to(ROOT))
        if any(name == out or name.startswith(out + "/") for out in LEFT_OUT):
            return
        if "__pycache__" in name or path.parent == lab.folder and path.name in OF_TEACHERS:
            return
        files[name] = (path.read_bytes(), path.stat().st_mode & 0o777)

    parts = [*PARTS, *(OF_MACHINES if lab.is_kernel() else [])]
    parts += OF_COUNTS if "counts" in lab.manifest else []
    for part in [*parts, str(lab.folder.relative_to(ROOT))]:
        path = ROOT / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                add(file)

    def change(name, to):
        contents, mode = files.get(name, (b"", 0o644))
        files[name] = (to(contents.decode()).encode(), mode)

    change("Cargo.toml", lambda _: workspace(lab))
    for name in list(files):
        if name.startswith("kernel/") and name.endswith("Cargo.toml"):
            change(name, lambda text: without_sections(text, OF_TESTS))
    for gone in ["kernel/hosted/", "course/harness/"] if lab.is_kernel() else []:
        files = {name: file for name, file in files.items() if not name.startswith(gone)}
    if "course/harness/Cargo.toml" in files and not any("loom" in c for c in lab.claims):
        change("course/harness/Cargo.toml", lambda text: without_sections(text, OF_MODELS))
    for gap in lab.manifest.get("empty", []):
        change(gap["file"], lambda text: with_body(text, gap["function"], gap["body"]))
    return files


def public_answers(lab, directory):
    """What answers.enc has of another lab, for a warm-up: the reference is main's own file, and its
    wrong solutions are that with edits."""
    [file] = lab.files
    solutions = {"reference": {"edits": []}, **json.loads((lab.folder / WRONG).read_text())}
    for name, solution in solutions.items():
        text = (ROOT / file).read_text()
        for before, after in solution["edits"]:
            if text.count(before) != 1:
                fail(f"{name}: {file} has not once what it changes: {before!r}")
            text = text.replace(before, after)
        (directory / name).mkdir(parents=True)
        (directory / name / Path(file).name).write_text(text)
    lost = {name: solution["lost"] for name, solution in solutions.items() if "lost" in solution}
    (directory / "lost.json").write_text(json.dumps(lost))


def put(directory, files, keep=()):
    """Makes `directory` have exactly these files, and those below the folders in `keep`. What is
    the same already is left alone; what is not is new, by its time too. So cargo builds what
    changed, and nothing else."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, (contents, mode) in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or not path.is_file() or path.read_bytes() != contents:
            if path.is_symlink():
                path.unlink()
            path.write_bytes(contents)
        path.chmod(mode)
    for folder, folders, names in os.walk(directory):
        here = Path(folder).relative_to(directory)
        folders[:] = [f for f in folders if str(here / f) not in keep]
        for name in names:
            if str(here / name) not in files:
                (Path(folder) / name).unlink()
