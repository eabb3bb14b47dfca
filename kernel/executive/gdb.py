"""Goroutines for gdb.

A program that was built with `executive` brings this file along. Where gdb may not load it by
itself (`add-auto-load-safe-path`), or it is not there, `source kernel/executive/gdb.py`. Then:

    info goroutines     each goroutine: id, status, why it waits, name, where it was started and
                        where it stands
    goroutine N bt      a backtrace of goroutine N, wherever it is (any gdb command in place of bt)
    goroutine all bt    the same of each
    info m              each CPU: what it does, for which goroutine, which of gdb's threads it is,
                        where it stands
    info p              each P: how many g's it has queued, and what it has done
    info runq           who is in which queue

It reads memory by the map that debugger.rs leaves, so it needs no types, only symbols. A goroutine
that is off its CPU was left with this frame at its saved rsp (switch.rs has the picture): r15 r14
r13 r12 rbx rbp pc, 8 bytes each.

Nothing is ever written: an unwinder tells gdb that the thread's own frame was called from where the
goroutine stands. So the goroutine's frames are numbered from 1 on (from 2, where the thread is in
an inlined function), a core file will do, and a command that makes the program run runs what would
have run without it. A goroutine on its CPU, on its own stack, is the thread itself, and its frames
have the thread's numbers.

The switch, and the kernel's gates, are written by hand and have no unwind tables. `ByHand` reads
their instructions, so what is told is true at each of them. A frame that was interrupted shows a pc
that is 1 more: gdb looks at what stands before the pc of every frame but the innermost.
"""

import re

import gdb
from gdb.unwinder import Unwinder, register_unwinder

STATUS = {0: "idle", 1: "runnable", 2: "running", 4: "waiting", 6: "dead"}
STATE = {0: "offline", 1: "running", 2: "searching", 3: "idle", 4: "napping"}
KEPT = ("rip", "rsp", "rbp", "rbx", "r12", "r13", "r14", "r15")
SAVED = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")
NO_STACK = (
    "goroutine {}'s stack is not in this file. (gdb's own generate-core-file leaves out what lies"
    " behind a guard page; the core files that Linux writes have it.)"
)


def memory(at, size):
    return bytes(gdb.selected_inferior().read_memory(at, size))


def word(at, size=8):
    return int.from_bytes(memory(at, size), "little")


def text(at):
    """A &str, or an Option of one, at an address."""
    pointer = word(at)
    return memory(pointer, word(at + 8)).decode(errors="replace") if pointer else ""


def slice_of(at, size):
    """The addresses of the elements of a &[T] at an address."""
    pointer, length = word(at), word(at + 8)
    return [pointer + size * n for n in range(length)]


class Map:
    """EXECUTIVE_DEBUGGER, debugger.rs, and what changes."""

    layout = None  # what does not: kept until gdb loads another file

    def __init__(self):
        try:
            Map.layout = Map.layout or self.read()
            self.ms, self.sched, self.size, self.fields, self.reasons, self.ring = Map.layout
            self.cpus = [M(self, cpu) for cpu in range(self.word("Sched", self.sched, "cpus"))]
        except gdb.MemoryError:
            raise gdb.GdbError("the executive is not there (yet, or any more)") from None

    @staticmethod
    def read():
        name = "executive::report::debugger::EXECUTIVE_DEBUGGER"
        # In a kernel, which has no types, its symbol: gdb puts the crate's hash into that name.
        listed = gdb.execute(f"info variables {name.replace('::', '.*::', 1)}", to_string=True)
        where = re.search(r"0x[0-9a-f]+", listed)
        where = where or re.search(
            r"0x[0-9a-f]+", gdb.execute(f"info address {name}", to_string=True)
        )
        at = int(where.group(), 16)
        size, fields = {}, {}
        for kind in slice_of(at + 16, 56):  # a Type: a &str, a size, two slices
            names = [text(name) for name in slice_of(kind + 24, 16)]
            offsets = [word(offset) for offset in slice_of(kind + 40, 8)]
            size[text(kind)] = word(kind + 16)
            fields[text(kind)] = dict(zip(names, offsets))
        reasons = [text(reason) for reason in slice_of(at + 32, 16)]
        ms, sched, ring = word(at), word(at + 8), word(at + 48)
        word(sched)  # there is memory
        return ms, sched, size, fields, reasons, ring

    def at(self, kind, address, field):
        return address + self.fields[kind][field]

    def word(self, kind, address, field, size=8):
        return word(self.at(kind, address, field), size)

    def gs(self):
        g = self.word("Sched", self.sched, "allgs")
        while g:
            yield Goroutine(self, g)
            g = self.word("G", g, "alllink")

    def goroutines(self):
        """Those that live, and those whose end is awaited."""
        return [g for g in self.gs() if g.id != 0 and g.status != "idle" and not g.is_free()]


class Goroutine:
    def __init__(self, map, g):
        self.map, self.g = map, g
        self.id = map.word("G", g, "id")
        self.status = STATUS.get(map.word("G", g, "status", 1), "?")
        reason = map.word("G", g, "wait_reason", 1)
        self.reason = map.reasons[reason] if self.status == "waiting" else ""
        self.name = text(map.at("G", g, "name"))
        at = map.word(
            "G", g, "started_at"
        )  # a Location: a &str that ends in a zero, then line and column
        self.started = f"{text(at)}:{word(at + 16, 4)}" if at else "?"
        self.left = map.word("G", g, "sched_sp")

    def __str__(self):
        return f"{self.id} ({self.name})" if self.name else str(self.id)

    def off_its_cpu(self):
        return self.status in ("runnable", "waiting")

    def is_free(self):
        return self.status == "dead" and self.cpu() is None

    def cpu(self):
        """The CPU that runs it, or did a moment ago."""
        return next((m for m in self.map.cpus if m.curg == self.g), None)

    def has(self, sp):
        """Whether this is on its stack."""
        return (
            self.map.word("G", self.g, "stack_lo") <= sp <= self.map.word("G", self.g, "stack_hi")
        )

    def saved(self):
        """The registers it goes on with. The pc is a return address: what stands before it tells
        the place."""
        try:
            registers = {name: word(self.left + 8 * i) for i, name in enumerate(SAVED)}
        except gdb.MemoryError:
            registers = {"rip": 0}
        if registers["rip"] == 0:
            raise gdb.GdbError(NO_STACK.format(self.id))
        registers["rsp"] = self.left + 8 * len(SAVED)
        return called(registers)

    def place(self):
        try:
            return place(self.saved()["rip"] - 1)
        except gdb.GdbError:
            return "?"


def called(registers, interrupted=False):
    """As a caller's: gdb looks at what stands before its pc, so that of an interrupted one, or a
    newborn's, is 1 more. (`ByHand` looks at the pc itself.)"""
    if (
        function(registers["rip"]) == ("gostart", 0)
        or interrupted
        and not function(registers["rip"])[0]
    ):
        registers["rip"] += 1
    return registers


class M:
    """A CPU's m and p."""

    def __init__(self, map, cpu):
        self.map, self.number = map, cpu
        self.m = map.ms + cpu * map.size["M"]
        self.state = STATE.get(map.word("M", self.m, "state", 1), "?")
        self.block = map.at("M", self.m, "block")
        self.curg = self.says("curg")
        self.p = map.at("M", self.m, "p")
        self.runq = map.at("P", self.p, "runq")

    def says(self, field):
        return self.map.word("PerCpu", self.block, field)

    def on_g0(self):
        return self.says("g") == self.says("g0")

    def thread(self):
        """gdb's thread: the one whose GS points at its block."""
        return threads().get(self.block)

    def queued(self):
        """runnext (or nobody), and the g's in its ring."""
        head, tail = (self.map.word("Runq", self.runq, name, 4) for name in ("head", "tail"))
        slots = self.map.at("Runq", self.runq, "slots")
        length = min((tail - head) % 2**32, self.map.ring)
        ring = [word(slots + 8 * ((head + n) % self.map.ring)) for n in range(length)]
        return self.map.word("Runq", self.runq, "runnext"), ring

    def stats(self, name):
        return self.map.word("Stats", self.map.at("P", self.p, "stats"), name)


def threads():
    """gdb's threads, by where their GS points."""
    before, found = gdb.selected_thread(), {}
    frame = gdb.selected_frame() if before else None
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        base = gdb.parse_and_eval("$gs_base")
        if base.type.code != gdb.TYPE_CODE_VOID:
            found[int(base) % 2**64] = thread
    if before and gdb.selected_thread() != before:
        before.switch()
        if frame.is_valid():
            frame.select()
    return found


symbols = {}


def forget(event=None):
    symbols.clear()
    Map.layout = None


gdb.events.new_objfile.connect(forget)
gdb.events.clear_objfiles.connect(forget)


def symbol(pc):
    """`name`, `name + 12`, or nothing."""
    if pc not in symbols:
        said = gdb.execute(f"info symbol {pc}", to_string=True)
        named = re.sub(r"\[[0-9a-f]{16}\]", "", said.split(" in section")[0].strip())
        symbols[pc] = named if " in section" in said else ""
    return symbols[pc]


def place(pc):
    """What stands there: function, file and line."""
    line = gdb.find_pc_line(pc)
    source = f" at {line.symtab.filename}:{line.line}" if line.symtab and line.line else ""
    return (symbol(pc) or hex(pc)) + source


def function(pc):
    """Which of those that are written by hand has this pc, and how far into it; or nobody."""
    name, _, offset = symbol(pc).partition(" + ")
    found = BY_HAND.search(name)
    return (found.group(1), int(offset or 0)) if found else (None, 0)


BY_HAND = re.compile(
    r"::(?:switch|switch::preemption|idt|xsave)::"
    r"(gogo|raw_mcall|systemstack_raw|gostart|goexit|mstart|async_preempt"
    r"|common|plain|with_error|device_not_available|keep_by_fxsave|keep_by_xsave)\b"
)
# How far above rsp the caller's stack is at the first instruction. It was called, if nothing else is
# said. For a gate, the frame that the CPU has pushed (Intel SDM vol. 3A, figure 7-9) is there: rip,
# cs, rflags, rsp, ss.
BEGINS = {
    "async_preempt": 0,
    "gogo": None,
    "common": 16,
    "plain": 0,
    "with_error": 8,
    "device_not_available": 0,
}
GATES = ("common", "plain", "with_error", "device_not_available")
OUTERMOST = ("goexit", "mstart")
# Registers by their numbers in instructions.
LOW = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
HIGH = ("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
# mov rsp, [rcx] and [rdi], without and with an offset.
OTHER_STACK = (b"\x48\x8b\x21", b"\x48\x8b\x27", b"\x48\x8b\x61", b"\x48\x8b\x67")


class Stack:
    """Where a function that is written by hand has what it saved, before one of its instructions."""

    def __init__(self, name, start, pc):
        self.name = name
        self.base, self.above = "rsp", BEGINS.get(name, 8)  # the caller's rsp: None: no way to it
        self.saved = {}  # register: how far below the caller's rsp it is
        self.stored_pc = False
        if pc == start:
            return
        architecture = gdb.selected_inferior().architecture()
        for instruction in architecture.disassemble(start, pc - 1):
            self.runs(memory(instruction["addr"], instruction["length"]))

    def push(self, register):
        self.above += 8
        self.saved.setdefault(register, self.above)

    def pop(self, register):
        self.saved.pop(register, None)
        self.above -= 8

    def runs(self, code):
        register = None
        if code[-1] & 0xF0 == 0x50 and (len(code) == 1 or len(code) == 2 and code[0] == 0x41):
            register = (HIGH if len(code) == 2 else LOW)[code[-1] & 7]
        if code[:3] in OTHER_STACK:
            if self.name == "gogo":
                self.above = 8 * len(SAVED)
                self.saved = {register: self.above - 8 * n for n, register in enumerate(SAVED)}
            elif self.base == "rsp":
                self.above = None
        elif self.above is None:
            return
        elif register:
            if self.base == "rsp":
                (self.push if code[-1] < 0x58 else self.pop)(register)
        elif code == b"\x9c" or code[0] in (0x68, 0x6A):  # pushfq, push imm
            self.push("flags")
        elif code == b"\x9d":  # popfq
            self.pop("flags")
        elif code == b"\x48\x89\xe5" or code == b"\x48\x89\xe3":  # mov rbp, rsp; mov rbx, rsp
            self.base = "rbp" if code[-1] == 0xE5 else "rbx"
        elif code == b"\x48\x89\xec" or code == b"\x48\x89\xdc":  # mov rsp, rbp; mov rsp, rbx
            self.base = "rsp"
        elif code[:3] == b"\x48\x81\xec" and self.base == "rsp":  # sub rsp, n
            self.above += int.from_bytes(code[3:], "little")
        elif code[:3] in (b"\x48\x81\xc4", b"\x48\x83\xc4") and self.base == "rsp":  # add rsp, n
            self.above -= int.from_bytes(code[3:], "little")
        elif code[:4] == b"\x48\x89\x84\x24":  # mov [rsp + n], rax
            self.stored_pc = True


def beyond(frame, pc):
    """The caller's registers, or those of what was interrupted. None: `frame` is not written by
    hand. Without a pc: the frame is the outermost on its stack."""
    name, offset = function(pc)
    if name is None:
        return None
    if name in OUTERMOST:
        return {}
    stack = Stack(name, pc - offset, pc)
    if stack.above is None:
        return {}
    value = lambda register: int(frame.read_register(register)) % 2**64
    top = value(stack.base) + stack.above
    registers = {
        name: word(top - below)
        for name, below in stack.saved.items()
        if name not in ("flags", "rsp")
    }
    registers["rsp"] = top
    interrupted = True
    if name in GATES:
        registers["rip"], registers["rsp"] = word(top), word(top + 24)
    elif name == "async_preempt":
        registers["rip"] = word(top - 8)
        if not stack.stored_pc:
            map = Map()
            g = next((m.curg for m in map.cpus if m.curg and Goroutine(map, m.curg).has(top)), 0)
            registers["rip"] = map.word("G", g, "preempt_pc") if g else 0
    elif name == "gogo":
        registers.setdefault("rip", value("rcx"))
        interrupted = False
    else:
        registers["rip"] = word(top - 8)
        interrupted = False
    return called(registers, interrupted)


class FrameId:
    """Who a frame is, in gdb's eyes."""

    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class ByHand(Unwinder):
    """Leads from functions that are written by hand to their callers."""

    def __init__(self):
        super().__init__("executive")

    def __call__(self, frame):
        sp, pc = frame.read_register("rsp"), int(frame.read_register("rip"))
        at = int(sp) % 2**64
        try:
            registers = beyond(frame, pc)
        except gdb.MemoryError:
            registers = {}
        if registers is None:
            return None
        # gdb takes a caller that is not above for a broken stack; `goroutine` finds it.
        above = registers.get("rsp", 0)
        if above < at or not registers.get("rip"):
            # The outermost. gdb shows one more frame, at 0, and `Ends` does not.
            above, registers = at, {"rip": 0, "rsp": at}
        start = pc - function(pc)[1]
        info = frame.create_unwind_info(
            FrameId(gdb.Value(above).cast(sp.type), gdb.Value(start).cast(sp.type))
        )
        for name in KEPT:
            value = registers.get(name)
            value = frame.read_register(name) if value is None else gdb.Value(value).cast(sp.type)
            info.add_saved_register(name, value)
        return info


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


caller, by_hand = Caller(), ByHand()
register_unwinder(None, by_hand, replace=True)
register_unwinder(None, caller, replace=True)  # in front of the other


class Ends:
    """A goroutine's backtrace begins where it stands, not where the thread does, and ends where its
    stack does."""

    def __init__(self):
        self.name, self.enabled, self.priority = "goroutine", True, 1000
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        inside = caller.registers is None
        for frame in frames:
            inside = inside or caller.is_its(frame.inferior_frame())
            if frame.inferior_frame().pc() == 0:
                return
            if inside:
                yield frame


Ends()


def stands(g):
    """The registers of a goroutine that its CPU runs, whose thread is selected. None: they are the
    thread's own."""
    frame = gdb.newest_frame()
    if g.has(int(frame.read_register("rsp")) % 2**64):
        return None
    # The CPU is on g0, or handles an interrupt. What did it leave, to come there?
    for _ in range(4):  # a page fault in an interrupt's handler, say, that interrupted g0
        registers, last = {}, None
        while frame:
            values = {name: int(frame.read_register(name)) % 2**64 for name in KEPT}
            if last is not None and g.has(values["rsp"]):
                return called(values, last.type() == gdb.SIGTRAMP_FRAME)
            pc = values["rip"]
            if pc == 0:
                break
            name, _ = function(pc)
            if name in ("raw_mcall", "gogo", "mstart"):
                return g.saved()
            registers = beyond(frame, pc)
            if registers:
                registers = {**values, **registers}
                break
            last, frame = frame, frame.older()
        if not registers:
            break
        if g.has(registers["rsp"]):
            return registers
        caller.stand(registers)
        frame = gdb.newest_frame()
        while frame and not caller.is_its(frame):
            frame = frame.older()
    raise gdb.GdbError(
        f"gdb finds no way from where CPU {g.cpu().number} stands to goroutine {g.id}"
    )


class List(gdb.Command):
    """Lists every goroutine."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        for g in Map().goroutines():
            cpu = g.cpu()
            line = f"{g.id:6} {'ended' if g.status == 'dead' else g.status}"
            line += f" [{g.reason}]" if g.reason else ""
            line += f" on CPU {cpu.number}" if cpu and g.status in ("running", "dead") else ""
            line += f" ({g.name})" if g.name else ""
            line += f" started at {g.started}"
            line += f", in {g.place()}" if g.off_its_cpu() else ""
            print(line)


class Ms(gdb.Command):
    """Lists every CPU (m): what it does, for which goroutine, and where it stands."""

    def __init__(self):
        super().__init__("info m", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        map = Map()
        found = threads()
        for m in map.cpus:
            line = f"{m.number:4} {m.state}"
            if m.state == "running" and m.curg:
                line += f", goroutine {Goroutine(map, m.curg)}"
            line += ", on g0" if m.on_g0() else ""
            thread = found.get(m.block)
            if thread:
                line += f", thread {thread.num}, in {place(pc_of(thread))}"
            print(line)


def pc_of(thread):
    before, frame = gdb.selected_thread(), gdb.selected_frame()
    thread.switch()
    pc = int(gdb.newest_frame().read_register("rip"))
    if before != thread:
        before.switch()
        frame.is_valid() and frame.select()
    return pc


class Ps(gdb.Command):
    """Lists every P: how many g's it has queued, and what it has done."""

    def __init__(self):
        super().__init__("info p", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        stats = ("runs", "steals", "halts", "preemptions", "born", "died")
        print("   p queued" + "".join(f"{name:>12}" for name in stats))
        for m in Map().cpus:
            runnext, ring = m.queued()
            counts = "".join(f"{m.stats(name):12}" for name in stats)
            print(f"{m.number:4} {len(ring) + (runnext != 0):6}{counts}")


class Queues(gdb.Command):
    """Tells who is in which run queue, the next to run first."""

    def __init__(self):
        super().__init__("info runq", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        map = Map()
        seen = set()
        for m in map.cpus:
            runnext, ring = m.queued()
            seen.update(ring, [runnext])
            line = f"p {m.number}:"
            line += f" runnext {Goroutine(map, runnext)};" if runnext else ""
            print(line + " ring " + (", ".join(str(Goroutine(map, g)) for g in ring) or "empty"))
        # ONE-QUEUE: whoever is runnable and in none of these is here.
        rest = [g for g in map.goroutines() if g.status == "runnable" and g.g not in seen]
        length = map.word("Sched", map.sched, "runq_len")
        said = ", ".join(str(g) for g in sorted(rest, key=lambda g: g.id)) or "nobody"
        print(f"global queue: {length} long; it, inboxes, and on their way: {said}")


class Stand(gdb.Command):
    """goroutine N COMMAND: runs a gdb command (bt, say) where goroutine N stands; changes nothing.
    goroutine all COMMAND: where each stands."""

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
        goroutines = Map().goroutines()
        if number != "all":
            found = [g for g in goroutines if str(g.id) == number]
            if not found:
                raise gdb.GdbError(f"there is no goroutine {number}")
            return self.at(found[0], command or "bt")
        for g in goroutines:
            print(f"\ngoroutine {g} [{g.reason or g.status}]:")
            try:
                self.at(g, command or "bt")
            except gdb.GdbError as error:
                print(error)

    def at(self, g, command):
        before = caller.registers
        thread, level = gdb.selected_thread(), gdb.selected_frame().level()
        self.ran = False
        try:
            caller.stand(None)
            registers = self.registers(g)
            caller.stand(registers)
            frame = gdb.newest_frame()
            while registers and frame and not caller.is_its(frame):
                frame = frame.older()
            if not frame:
                raise gdb.GdbError(
                    f"gdb finds no way to goroutine {g.id} from where this thread stands"
                )
            frame.select()
            gdb.execute(command)
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

    @staticmethod
    def registers(g):
        """Where it stands. None: where the thread does that is selected then."""
        cpu = g.cpu()
        if (
            g.off_its_cpu() or cpu is None
        ):  # it is saved before it is either, and until its CPU has it as its own
            return g.saved()
        thread = cpu.thread()
        if not thread:
            raise gdb.GdbError(
                f"goroutine {g.id} is on CPU {cpu.number}, and gdb has no thread for that"
            )
        if thread != gdb.selected_thread():
            thread.switch()
        if g.status == "dead":
            print(f"goroutine {g.id} has ended; this is its CPU's g0")
            return None
        return stands(g)


List()
Ms()
Ps()
Queues()
Stand()
gdb.execute("alias goroutines = info goroutines")
