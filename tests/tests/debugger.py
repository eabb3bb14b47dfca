# Run by gdb for debugger.rs, at a kernel with one CPU on which two hogs run: what gdb.py tells of a
# preemption.
import re

import gdb


def say(command):
    return gdb.execute(command, to_string=True)


def running():
    return next(g for g in Map().goroutines() if g.status == "running")


def where(g):
    """The functions of its frames."""
    return say(f"goroutine {g.id} python tell_names()")


def tell_names():
    frame = gdb.selected_frame()
    while frame:
        print(frame.name())
        frame = frame.older()


def until_preempted(start, other=None):
    """Goes on until a hog is preempted that is not this one. (Whoever echoes the line that starts
    them may be before, if the host is slow.)"""
    while True:
        gdb.execute(f"tbreak *{start}")
        gdb.execute("continue")
        if "proofs::hogs" in where(running()) and running().id != other:
            return running()


def step_through_a_preemption():
    """From the first instruction of `async_preempt` on until it calls: at each, where does the
    goroutine stand?"""
    start = re.search(r"0x\w+", say("info functions async_preempt")).group()
    hog, told = until_preempted(start), 0
    while "call" not in say("x/i $pc"):
        if "proofs::hogs" not in where(hog):
            print(f"FAIL {say('x/i $pc')}{where(hog)}")
        told += 1
        say("stepi")
    print(f"told {told} times")
    # The other hog runs until it is preempted, too.
    print(f"{hog.id} was preempted, {until_preempted(start, hog.id).id} is")
