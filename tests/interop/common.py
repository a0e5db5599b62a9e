"""What the interop suites share: running samara, counting checks, and made-up content."""

import json
import os
import pathlib
import random
import subprocess
import sys

LOOPBACK = "127.0.0.1"


class Checks:
    """Counts claims; prints the ones that do not hold, and at the end the counts."""

    def __init__(self, suite):
        self.suite, self.passed, self.failed = suite, 0, 0

    def equal(self, claim, found, wanted):
        self.that(claim, found == wanted, f"found {found!r}, wanted {wanted!r}")

    def that(self, claim, holds, detail=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {self.suite}: {claim}: {detail}", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


class Samara:
    """The binary under test with a state folder of its own."""

    def __init__(self, binary, state):
        self.binary, self.state = os.path.abspath(binary), pathlib.Path(state)
        self.state.mkdir(parents=True, exist_ok=True)

    def command(self, *arguments):
        return [self.binary, "--state-dir", str(self.state), *map(str, arguments)]

    def environment(self):
        return {**os.environ, "SAMARA_BIND": LOOPBACK, "NO_COLOR": "1", "NO_PROXY": LOOPBACK}

    def run(self, *arguments, limit=120):
        """Runs a command that ends by itself; returns (exit code, standard output, standard error)."""
        done = subprocess.run(self.command(*arguments), env=self.environment(), cwd=self.state,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=limit)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def json(self, *arguments, limit=120):
        """Runs a command that prints one JSON object; a failure is an exception with what it said."""
        code, out, err = self.run(*arguments, "--json", limit=limit)
        if code != 0:
            raise RuntimeError(f"{arguments}: exit code {code}: {err.strip()}")
        return json.loads(out.splitlines()[-1])

    def start(self, *arguments, **options):
        """Starts a command that stays; its standard output is a pipe of JSON lines."""
        return subprocess.Popen(self.command(*arguments, "--json"), env=self.environment(), cwd=self.state,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options)


def wait_event(process, name):
    """Reads the process's JSON lines up to the event of this name, and returns it."""
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == name:
            return event
        if event["event"] == "error":
            raise RuntimeError(event["message"])
    raise RuntimeError(f"the process ended before the event {name}")


def write_file(path, size, rng_seed):
    """Writes `size` bytes that follow from `rng_seed`."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = random.Random(rng_seed)
    with open(path, "wb") as file:
        left = size
        while left > 0:
            length = min(left, 1 << 22)
            file.write(generator.randbytes(length))
            left -= length
    return path


def same_bytes(a, b):
    """Whether two files hold the same bytes."""
    return subprocess.run(["cmp", "--silent", str(a), str(b)]).returncode == 0
