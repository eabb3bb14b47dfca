# Run by gdb for debugger.rs: is gdb.py right? HOW: `live`, which leaves a core file of gdb's at
# CORE; `core`, about the one at CORE, which is Linux's; or `gdb-core`, about gdb's.
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
    """Does these commands and tells the selected function. (What they show isn't caught.)"""
    for command in commands:
        gdb.execute(command, to_string=True)
    print(gdb.selected_frame().name())


def state():
    """All that a command could leave behind: registers, the selected frame and thread."""
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
            claim(
                f"after `{command}` all is as before",
                state() == before,
                f"{said}\n{before}\n{state()}",
            )
            claim(
                f"`{command}` is no exception",
                "Traceback" not in said and "Python" not in said,
                said,
            )

    for number in ("999", "x", ""):
        said = say(f"goroutine {number} bt")
        claim(
            f"goroutine `{number}`: a sentence",
            "there is no goroutine" in said and "Traceback" not in said,
            said,
        )
    look_at_all(listed)
    return n


def look_at_all(listed):
    """Claims about who runs, and about CPUs and queues."""
    cpus = int(os.environ["EXECUTIVE_CPUS"])
    line = next((line for line in listed.splitlines() if "(hog)" in line), "")
    hog, status = line.split()[:2]
    bt = say(f"goroutine {hog} bt")
    claim("a hog is where it spins", "spin_here" in bt and "debugger.rs:" in bt, bt)
    claim("its backtrace ends where goroutines do", "goexit" in bt.splitlines()[-1], bt)
    claim("it is its own", "be_looked_at" not in bt and "leave_a_core_file" not in bt, bt)
    if cpus == 1:
        claim("it was preempted", status == "runnable" and "gopreempt" in bt, listed + bt)
    else:
        claim("it runs, or was preempted", status == "running" or "gopreempt" in bt, listed + bt)
    main = say("goroutine 1 bt")
    claim(
        "main runs, and is where it is", "be_looked_at" in main or "leave_a_core_file" in main, main
    )

    everyone = say("goroutine all bt")
    claim(
        "all are all",
        all(name in everyone for name in ("spin_here", "three_calls_deep", "(main)")),
        everyone,
    )
    claim(
        "and none is forgotten",
        everyone.count("\ngoroutine ") == len(listed.splitlines()),
        everyone,
    )
    ms = say("info m")
    claim(
        "each CPU has a line",
        [line.split()[0] for line in ms.splitlines()] == [str(n) for n in range(cpus)],
        ms,
    )
    claim("one runs main", ms.count("running, goroutine 1 (main), thread") == 1, ms)
    ps = say("info p")
    claim("each P has a line, and some have run", len(ps.splitlines()) == cpus + 1, ps)
    born = sum(int(line.split()[-2]) for line in ps.splitlines()[1:])
    claim("each goroutine was born", born == len(listed.splitlines()), ps + listed)
    queues = say("info runq")
    claim(
        "whoever is runnable is in a queue",
        (f"{hog} (hog)" in queues) == (status == "runnable"),
        queues + listed,
    )
    claim("whoever waits is in none", "(receiver)" not in queues, queues)


def names(n):
    """The functions of a goroutine's frames."""
    return say(f"goroutine {n} python tell_names()")


def tell_names():
    frame = gdb.selected_frame()
    while frame:
        print(frame.name())
        frame = frame.older()


def here():
    return int(gdb.parse_and_eval("$pc"))


def address_of(name):
    listed = say(f"info functions executive_core.*::switch.*::{name}$")
    return int(re.search(rf"(0x[0-9a-f]+) .*::{name}$", listed, re.M).group(1), 16)


def until(place):
    """Runs until the program is at this address."""
    say(f"tbreak *{place}")
    say("continue")
    claim("it comes there", here() == place, say("bt 3"))


def step(ask, ends, most=4000):
    """Steps through the program until `ends`, and asks at each instruction. In which functions it
    was, and how often."""
    asked = {}
    for _ in range(most):
        if ends():
            return asked
        name = gdb.newest_frame().name() or "?"
        name = name.rpartition("::")[2]
        asked[name] = asked.get(name, 0) + 1
        wrong = ask()
        if wrong:
            claim(
                "at any instruction it tells the truth",
                False,
                f"{say('x/i $pc')}{say('bt 5')}{wrong}",
            )
            return asked
        # The clock's page changes while gdb steps, and Linux's code tries again for ever.
        say("finish" if "clock_gettime" in name else "stepi")
    claim("it does not step for ever", False, say("bt"))
    return asked


def stands_in(**where):
    """A question: is each goroutine in this function?"""

    def ask():
        for n, name in where.items():
            said = names(n[1:])
            if name not in said:
                return f"goroutine {n[1:]}, which is in {name}: {said}"

    return ask


def step_through(n):
    """On one CPU: asks where goroutines are at each instruction of a switch."""
    both = {"_1": "be_looked_at", f"_{n}": "three_calls_deep"}
    gdb.execute("break step_here", to_string=True)

    def to_step(number):
        say("continue")
        claim(f"step {number}", f"step_here (n={number})" in say("bt 3"), say("bt"))

    def left(name):
        return lambda: not (gdb.newest_frame().name() or "").endswith("::" + name)

    to_step(1)
    until(address_of("systemstack_raw"))
    ask = stands_in(**both)
    asked = step(ask, lambda: "call" in say("x/i $pc"))
    back = here() + 2
    asked = step(ask, left("systemstack_raw"))
    claim("on g0, by systemstack", ask() is None, str(asked))
    until(back)
    asked = step(ask, left("systemstack_raw"))
    claim("and back", asked.get("systemstack_raw", 0) == 5, str(asked))

    to_step(2)
    until(address_of("raw_mcall"))
    gogo = address_of("gogo")
    asked = step(ask, lambda: here() == gogo)
    claim(
        "it leaves its CPU, instruction by instruction", asked.get("raw_mcall", 0) > 12, str(asked)
    )
    asked = step(ask, left("gogo"))
    claim(
        "and the next one comes, instruction by instruction", asked.get("gogo", 0) == 10, str(asked)
    )

    until(address_of("raw_mcall"))
    ended = lambda: re.search(rf"^ *{n} ended", say("goroutines"), re.M)
    asked = step(stands_in(_1="be_looked_at"), ended)
    said = say(f"goroutine {n} bt")
    claim(
        "one that has ended is its CPU's g0",
        "has ended" in said and "be_looked_at" not in said,
        said,
    )


def stops(argument):
    return f"debugger::stop_here ({argument})" in say("bt 2")


gdb.execute("set pagination off")
gdb.execute("set confirm off")
brought = say("help info goroutines")
claim("the program brings the commands along", "Lists every goroutine" in brought, brought)
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
    if os.environ["EXECUTIVE_CPUS"] == "1":
        step_through(n)
        gdb.execute("delete")
    say(
        "continue"
    )  # to the end, of which the program tells (gdb may miss it where threads end at once)
else:
    gdb.execute("core-file " + os.environ["CORE"])
    lines = say("goroutines").splitlines()
    claim(
        "the list is there",
        any("waiting [chan receive] (receiver)" in line for line in lines),
        str(lines),
    )
    waits = next((line.split()[0] for line in lines if "(receiver)" in line), "?")
    bt = say(f"goroutine {waits} bt")
    # With the guard pages of Linux 6.13 gdb's file has no stacks.
    missing = (
        os.environ["HOW"] == "gdb-core" and "stack is not in this file" in bt and "Python" not in bt
    )
    if not missing:
        look()
    claim("a core file will do", True)
