"""Goroutines for gdb. `source kernel/executive/gdb.py`, then:

    goroutines          every goroutine: id, status, why it waits, name, where it was started, where it stands
    goroutine N bt      a backtrace of goroutine N while it is off its CPU (any gdb command in place of bt)

It reads memory by the map that debugger.rs leaves, so it needs no types, only symbols. A goroutine that is
off its CPU was left with this frame at its saved rsp (switch.rs has the picture): r15 r14 r13 r12 rbx rbp pc,
8 bytes each.

Nothing is ever written: an unwinder tells gdb that the thread's own frame was called from where the goroutine
stands. So the goroutine's frames are numbered from 1 on (from 2, where the thread is in an inlined function), a
core file will do, and a command that makes the program run runs what would have run without it.
"""

import re

import gdb
from gdb.unwinder import Unwinder, register_unwinder

STATUS = {0: "idle", 1: "runnable", 2: "running", 4: "waiting", 6: "dead"}
FIELDS = ("alllink", "id", "status", "reason", "name", "started", "sp")
SAVED = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")
NO_STACK = (
    "goroutine {}'s stack is not in this file. (gdb's own generate-core-file leaves out what lies behind a guard"
    " page; the core files that Linux writes have it.)"
)


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
        name = "executive::report::debugger::EXECUTIVE_DEBUGGER"
        # In a kernel, which has no types, its symbol: gdb puts the crate's hash into that name.
        listed = gdb.execute(f"info variables {name.replace('::', '.*::', 1)}", to_string=True)
        where = re.search(r"0x[0-9a-f]+", listed)
        where = where or re.search(r"0x[0-9a-f]+", gdb.execute(f"info address {name}", to_string=True))
        at = int(where.group(), 16)
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
        """Those it goes on with. The pc is a return address: what stands before it tells the place."""
        try:
            registers = {name: word(self.left + 8 * i) for i, name in enumerate(SAVED)}
        except gdb.MemoryError:
            registers = {"rip": 0}
        if registers["rip"] == 0:
            raise gdb.GdbError(NO_STACK.format(self.id))
        registers["rsp"] = self.left + 8 * len(SAVED)
        if symbol(registers["rip"]).endswith("::switch::gostart"):
            registers["rip"] += 1  # a newborn was called from nowhere
        return registers

    def place(self):
        try:
            pc = self.registers()["rip"]
            return symbol(pc - 1) or hex(pc)
        except gdb.GdbError:
            return "?"


def symbol(pc):
    """`name`, `name + 12`, or nothing."""
    said = gdb.execute(f"info symbol {pc}", to_string=True)
    return re.sub(r"\[[0-9a-f]{16}\]", "", said.split(" in section")[0].strip()) if " in section" in said else ""


class FrameId:
    """Who a frame is, in gdb's eyes."""

    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Caller(Unwinder):
    """While there is a goroutine, it has called the frame where the selected thread stands."""

    def __init__(self):
        super().__init__("goroutine")
        self.enabled = False
        self.registers = self.here = None

    def stand(self, registers):
        """From here on at these registers (None: nowhere)."""
        self.registers, self.enabled = None, False
        gdb.invalidate_cached_frames()
        if registers:
            self.here = self.place(gdb.newest_frame())
            self.registers, self.enabled = registers, True
            gdb.invalidate_cached_frames()

    @staticmethod
    def place(frame):
        return tuple(int(frame.read_register(name)) for name in ("rsp", "rip"))

    def __call__(self, frame):
        if self.place(frame) != self.here:
            return None
        sp = frame.read_register("rsp")
        value = {name: gdb.Value(value).cast(sp.type) for name, value in self.registers.items()}
        # Just below the goroutine's frame: gdb takes a caller that is not above for a broken stack.
        info = frame.create_unwind_info(FrameId(value["rsp"] - 16, frame.read_register("rip")))
        for name in value:
            info.add_saved_register(name, value[name])
        return info

    def is_its(self, frame):
        """Whether it is the goroutine's, and not where the thread stands."""
        return self.place(frame) != self.here


caller = Caller()
register_unwinder(None, caller, replace=True)


class Ends:
    """A goroutine's backtrace begins where it stands, not where the thread does, and ends with `goexit`."""

    def __init__(self):
        self.name, self.enabled, self.priority = "goroutine", True, 1000
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        inside = caller.registers is None
        for frame in frames:
            inside = inside or caller.is_its(frame.inferior_frame())
            if inside:
                yield frame
            if (frame.inferior_frame().name() or "").endswith("::switch::goexit"):
                return


Ends()


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
            line += f", in {g.place()}" if g.off_its_cpu() else ""
            print(line)


class Stand(gdb.Command):
    """goroutine N COMMAND: runs a gdb command (bt, say) where goroutine N stands, and changes nothing."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)
        self.ran = False
        gdb.events.cont.connect(self.runs)

    def runs(self, event):
        self.ran = True
        if caller.registers:
            caller.stand(None)

    def invoke(self, argument, from_tty):
        number, _, command = argument.partition(" ")
        found = [g for g in Map().gs() if str(g.id) == number and g.off_its_cpu()]
        if not found:
            raise gdb.GdbError(f"goroutine {number} is on a CPU (info threads), or not at all")
        before = caller.registers
        thread, level = gdb.selected_thread(), gdb.selected_frame().level()
        self.ran = False
        try:
            caller.stand(found[0].registers())
            frame = gdb.newest_frame()
            while frame and not caller.is_its(frame):
                frame = frame.older()
            if not frame:
                raise gdb.GdbError(f"gdb finds no way to goroutine {number} from where this thread stands")
            frame.select()
            gdb.execute(command or "bt")
        except gdb.error as error:
            raise gdb.GdbError(str(error)) from None
        finally:
            if not self.ran:  # or it stands somewhere else, and that is selected
                if thread and thread.is_valid():
                    thread.switch()
                caller.stand(before)
                frame = gdb.newest_frame()
                while frame.level() < level and frame.older():
                    frame = frame.older()
                frame.select()


List()
Stand()
