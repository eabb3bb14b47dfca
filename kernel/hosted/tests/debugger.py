# Run by gdb for debugger.rs: is gdb.py right? HOW: `live`, which leaves a core file of gdb's at CORE; `core`, about
# the one at CORE, which is Linux's; or `gdb-core`, about gdb's.
import os
import re

import gdb


def claim(words, holds, but=""):
    gdb.write(f"{'ok  ' if holds else 'FAIL'} {words}\n{'' if holds else but}\n")


def say(command):
    """What gdb says to a command, an error's words too."""
    try:
        return gdb.execute(command, to_string=True)
    except gdb.error as error:
        return f"gdb.error: {error}"


def tell_after(*commands):
    """Does these commands and tells the selected function. (What they show themselves isn't caught.)"""
    for command in commands:
        gdb.execute(command, to_string=True)
    print(gdb.selected_frame().name())


def state():
    """All that a command could leave behind: registers, the frame and the thread that are selected."""
    frame, thread = gdb.selected_frame(), gdb.selected_thread()
    shown = say("info registers"), say("bt")
    return thread.num, frame.level(), frame.name(), shown


def look():
    """All claims about the goroutine that waits; its number."""
    listed = say("goroutines")
    line = next((line for line in listed.splitlines() if "(receiver)" in line), "")
    claim("the list tells what it waits for", "waiting [chan receive]" in line, listed)
    claim("the list tells where it stands", "one_call_deep" in line, listed)
    n = line.split()[0]

    bt = say(f"goroutine {n} bt")
    deep = [bt.find(name) for name in ("one_call_deep", "two_calls_deep", "three_calls_deep")]
    claim("a backtrace is the goroutine's", -1 not in deep and deep == sorted(deep), bt)
    claim("and nobody else's", "stop_here" not in bt and "main_goroutine" not in bt, bt)
    claim("it ends where goroutines do", "goexit" in bt.splitlines()[-1], bt)
    claim("without a command it is a backtrace", say(f"goroutine {n}") == bt)
    level = int(re.search(r"#(\d+) .*two_calls_deep", bt).group(1))
    said = say(f"goroutine {n} python tell_after('frame {level}')")
    claim("frames have the numbers that they have in it", "debugger::two_calls_deep" in said, said)
    said = say(f"goroutine {n} python tell_after('frame {level - 1}', 'up')")
    claim("up is the caller", "debugger::two_calls_deep" in said, said)
    rsp, stopped = (int(gdb.parse_and_eval("$rsp")), say(f"goroutine {n} p/x $rsp"))
    claim("registers are the goroutine's", "0x" in stopped and hex(rsp) not in stopped, stopped)

    for commands in ([], ["up"], ["thread 1"]):
        for command in commands:
            say(command)
        before = state()
        for command in (
            "bt",
            "frame 3",
            "frame function two_calls_deep",
            "up",
            "down",
            "up 1000",
            "thread 1",
            "info registers",
            "nonsense",
            "print nothing_of_the_kind",
            f"goroutine {n} up",
            "goroutine 999 bt",
        ):
            said = say(f"goroutine {n} {command}")
            claim(f"after `{command}` all is as before", state() == before, f"{said}\n{before}\n{state()}")
            claim(f"`{command}` is no exception", "Traceback" not in said and "Python" not in said, said)

    running = next((line.split()[0] for line in listed.splitlines() if " running " in line), "?")
    for number in (running, "999", "x", ""):
        said = say(f"goroutine {number} bt")
        claim(f"goroutine `{number}`: a sentence", "is on a CPU" in said and "Traceback" not in said, said)
    return n


def stops(argument):
    return f"debugger::stop_here ({argument})" in say("bt 2")


gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("source " + os.environ["GDB_PY"])
if os.environ["HOW"] == "live":
    gdb.execute("handle SIGURG nostop noprint pass", to_string=True)
    gdb.execute("break stop_here", to_string=True)
    gdb.execute("run be-looked-at")
    claim("it stops", stops("n=0"))
    n = look()
    gdb.execute("generate-core-file " + os.environ["CORE"])
    # A command that makes it run runs the thread that was selected.
    said = say(f"goroutine {n} continue")
    claim("it stops again", stops("n=1"), said)
    claim("and there is no goroutine in it any more", "three_calls_deep" not in say("bt"))
    gdb.execute("delete")
    say("continue")  # to the end, of which the program tells (gdb may miss it where threads end at once)
else:
    gdb.execute("core-file " + os.environ["CORE"])
    lines = say("goroutines").splitlines()
    claim("the list is there", any("waiting [chan receive] (receiver)" in line for line in lines), str(lines))
    bt = say(f"goroutine {lines[0].split()[0]} bt")
    # With the guard pages of Linux 6.13 gdb's file has no stacks.
    missing = os.environ["HOW"] == "gdb-core" and "stack is not in this file" in bt and "Python" not in bt
    if not missing:
        look()
    claim("a core file will do", True)
