"""Goroutines for gdb. `source kernel/executive/gdb.py`, then:

    goroutines          every goroutine: id, status, why it waits, name, where it was started, where it stands
    goroutine N bt      a backtrace of goroutine N while it is off its CPU (any gdb command in place of bt)

It reads memory by the map that debugger.rs leaves, so it needs no types, only symbols. A goroutine that is off its CPU was left with this frame at its saved
rsp (switch.rs has the picture): r15 r14 r13 r12 rbx rbp pc, 8 bytes each.
"""

import re

import gdb

STATUS = {0: "idle", 1: "runnable", 2: "running", 4: "waiting", 6: "dead"}
FIELDS = ("alllink", "id", "status", "reason", "name", "started", "sp")


def memory(at, size):
    return bytes(gdb.selected_inferior().read_memory(at, size))


def word(at, size=8):
    return int.from_bytes(memory(at, size), "little")


def text(at):
    """A &str, or an Option of one, at an address."""
    pointer = word(at)
    return memory(pointer, word(at + 8)).decode(errors="replace") if pointer else ""


class Map:
    """EXECUTIVE_DEBUGGER, debugger.rs."""

    def __init__(self):
        where = gdb.execute("info address EXECUTIVE_DEBUGGER", to_string=True)
        at = int(re.search(r"0x[0-9a-f]+", where).group(), 16)
        try:
            self.allgs = word(at)
            word(self.allgs)
        except gdb.MemoryError:
            raise gdb.GdbError("the executive is not there (yet, or any more)") from None
        self.at = {name: word(at + 8 + 8 * i) for i, name in enumerate(FIELDS)}
        self.reasons = at + 8 + 8 * len(FIELDS)

    def gs(self):
        g = word(self.allgs)
        while g:
            yield Goroutine(self, g)
            g = word(g + self.at["alllink"])


class Goroutine:
    def __init__(self, map, g):
        self.id = word(g + map.at["id"])
        self.status = STATUS.get(word(g + map.at["status"], 1), "?")
        self.reason = text(map.reasons + 16 * word(g + map.at["reason"], 1)) if self.status == "waiting" else ""
        self.name = text(g + map.at["name"])
        at = word(g + map.at["started"])  # a Location: a &str that ends in a zero, then line and column
        self.started = f"{text(at)}:{word(at + 16, 4)}" if at else "?"
        self.left = word(g + map.at["sp"])

    def off_its_cpu(self):
        return self.status in ("runnable", "waiting")

    def registers(self):
        return {"sp": self.left + 7 * 8, "rbp": word(self.left + 5 * 8), "pc": word(self.left + 6 * 8)}


def function(pc):
    said = gdb.execute(f"info symbol {pc - 1}", to_string=True)
    return re.sub(r"\[[0-9a-f]{16}\]", "", said.split(" in section")[0].strip()) if " in section" in said else hex(pc)


class List(gdb.Command):
    """Lists every goroutine."""

    def __init__(self):
        super().__init__("goroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        for g in Map().gs():
            if g.id == 0 or g.status in ("dead", "idle"):
                continue
            line = f"{g.id:6} {g.status}"
            line += f" [{g.reason}]" if g.reason else ""
            line += f" ({g.name})" if g.name else ""
            line += f" started at {g.started}"
            line += f", in {function(g.registers()['pc'])}" if g.off_its_cpu() else ""
            print(line)


class Stand(gdb.Command):
    """goroutine N COMMAND: runs a gdb command (bt, say) where goroutine N stands."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        number, _, command = argument.partition(" ")
        found = [g for g in Map().gs() if str(g.id) == number and g.off_its_cpu()]
        if not found:
            raise gdb.GdbError(f"goroutine {number} is on a CPU (info threads), or not at all")
        saved = {name: int(gdb.parse_and_eval(f"${name}")) for name in ("sp", "rbp", "pc")}
        try:
            self.set(found[0].registers())
            gdb.execute(command or "bt")
        finally:
            self.set(saved)

    @staticmethod
    def set(registers):
        for name, value in registers.items():
            gdb.execute(f"set ${name} = {value}", to_string=True)


List()
Stand()
