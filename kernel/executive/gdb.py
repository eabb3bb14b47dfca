"""Goroutines for gdb. `source kernel/executive/gdb.py`, then:

    goroutines          every goroutine: id, name, status, why it waits, where it was started, where it stands
    goroutine N bt      a backtrace of goroutine N while it is off its CPU (any gdb command in place of bt)

It reads what crash.rs reads: the list of all g's, and the frame that `mcall` left at `sched_sp` (switch.rs has the picture): r15 r14 r13 r12 rbx rbp pc, 8 bytes each.
"""

import re

import gdb

STATUS = {0: "idle", 1: "runnable", 2: "running", 4: "waiting", 6: "dead"}


def inner(value):
    """The plain value in a Cell, an atomic, or what else wraps one field."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        fields = [f for f in value.type.fields() if not f.artificial]
        real = [f for f in fields if f.type.sizeof] or fields
        if len(real) != 1:
            return value
        value = value[real[0]]
    return value


def word(value):
    return int(inner(value))


def all_gs():
    g = gdb.lookup_global_symbol("executive::sched::SCHED") or gdb.lookup_static_symbol("executive::sched::SCHED")
    next_g = inner(g.value()["allgs"])
    while int(next_g) != 0:
        g = next_g.dereference()
        yield g
        next_g = inner(g["alllink"])


def text(s):
    """An Option<&str>."""
    try:
        # The None niche is a null data pointer; gdb shows either variant as a struct with data_ptr and length.
        raw = s.address.cast(gdb.lookup_type("usize").pointer())
        pointer, length = int(raw[0]), int(raw[1])
        return "" if pointer == 0 else bytes(gdb.selected_inferior().read_memory(pointer, length)).decode()
    except gdb.error:
        return "?"


def started(g):
    """An Option<&Location>: a `&str` that ends in a zero, then line and column."""
    try:
        at = int(g["started_at"].address.cast(gdb.lookup_type("usize").pointer()).dereference())
        if at == 0:
            return "?"
        words = gdb.Value(at).cast(gdb.lookup_type("usize").pointer())
        file = gdb.selected_inferior().read_memory(int(words[0]), int(words[1]))
        line = int(words[2]) & 0xFFFFFFFF
        return f"{bytes(file).decode()}:{line}"
    except (gdb.error, UnicodeDecodeError):
        return "?"


def function(pc):
    """The name of the function at pc, without its section."""
    said = gdb.execute(f"info symbol {pc - 1}", to_string=True)
    return re.sub(r"\[[0-9a-f]{16}\]", "", said.split(" in section")[0].strip()) if " in section" in said else hex(pc)


def frame_at(g):
    """(pc, sp, fp) of a goroutine that is off its CPU."""
    sp = word(g["sched_sp"])
    words = gdb.Value(sp).cast(gdb.lookup_type("usize").pointer())
    return int(words[6]), sp + 7 * 8, int(words[5])


class Goroutines(gdb.Command):
    """Lists every goroutine."""

    def __init__(self):
        super().__init__("goroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        for g in all_gs():
            status = STATUS.get(word(g["status"]), "?")
            if status in ("dead", "idle"):
                continue
            line = f"{word(g['id']):6} {status:9}"
            if status == "waiting":
                reason = inner(g["wait_reason"])
                try:
                    reason = reason.cast(gdb.lookup_type("executive::g::WaitReason"))
                except gdb.error:
                    pass
                line += f" {str(reason).split('::')[-1]}"
            name = text(g["name"])
            line += f" ({name})" if name else ""
            line += f" started at {started(g)}"
            if status != "running":
                line += f", in {function(frame_at(g)[0])}"
            print(line)


class Goroutine(gdb.Command):
    """goroutine N COMMAND: runs a gdb command (bt, say) where goroutine N stands."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        number, _, command = argument.partition(" ")
        for g in all_gs():
            if word(g["id"]) == int(number) and STATUS.get(word(g["status"])) in ("runnable", "waiting"):
                break
        else:
            raise gdb.GdbError(f"goroutine {number} is on a CPU, or not at all (info threads)")
        pc, sp, fp = frame_at(g)
        gdb.selected_frame()  # there is a thread
        saved = [(r, int(gdb.parse_and_eval(f"${r}"))) for r in ("pc", "sp", "rbp")]
        try:
            for register, value in (("sp", sp), ("rbp", fp), ("pc", pc)):
                gdb.execute(f"set ${register} = {value}", to_string=True)
            gdb.execute(command or "bt")
        finally:
            for register, value in saved:
                gdb.execute(f"set ${register} = {value}", to_string=True)


Goroutines()
Goroutine()
