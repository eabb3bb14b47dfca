#!/usr/bin/env bash
# Does the course's grader give points to who has earned them, and to nobody else?
#
#   tests/course.sh
#
# Skeletons get no points, the warm-up's public answer gets all; hostile submissions get none, with
# words, and do no harm. What needs the encrypted answers is course/check's.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
source tests/lib/build.sh
[[ -x $target/debug/boot ]] || build_boot # for the lab whose claims are a kernel
asked=0 failed=0

# holds WHAT COMMAND...: does the command succeed? If not, what was said last is shown.
holds() {
    local what=$1
    shift
    asked=$((asked + 1))
    if "$@"; then
        echo "ok     $what"
    else
        echo "FAILED $what; it said:"
        cat "$work/said"
        failed=$((failed + 1))
    fi
}

# graded STATUS WORDS COMMAND...: ends with this status, and says these words.
graded() {
    local status=$1 words=$2 got=0
    shift 2
    "$@" >"$work/said" 2>&1 || got=$?
    ((got == status)) && grep -qF -- "$words" "$work/said"
}

# --- skeletons
for lab in course/labs/*/; do
    lab=$(basename "$lab")
    holds "$lab: the skeleton builds, and has no points" \
        graded 0 "it builds, and fails as it should" course/skeleton "$lab" "$work/$lab" --offline
done
holds "no skeleton into a folder that has something" graded 2 "not empty" course/skeleton 1 "$work"
switch=kernel/executive/core/src/switch.rs
has_no_gogo() { grep -q '"jmp rcx"' $switch && ! grep -q '"jmp rcx"' "$work/1-switch/$switch"; }
holds "no skeleton has main's switch" has_no_gogo

on_a_host() {
    (cd "$work/6-lock" && CARGO_TARGET_DIR=$work/built CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 \
        cargo build --quiet --offline --package lock-count) >"$work/said" 2>&1
}
holds "what counts in QEMU builds as a process, too, for who builds a tree as a whole" on_a_host

# --- the warm-up, which has a public answer
public() { PYTHONPATH=course python3 -c "import labs, pathlib; labs.public_answers(labs.find('1'), pathlib.Path('$work/public'))"; }
holds "the public answers can be made of what is here" public
mv "$work/public/reference" "$work/answer"
echo 3.5 >"$work/answer/time.txt"
holds "the public answer has all points" graded 0 "100 of 100 points" course/grade 1 "$work/answer"
holds "two registers exchanged lose 20 points" graded 1 "FAIL   0/20  registers_are_kept" \
    course/grade 1 "$work/public/wrong-registers-exchanged"

# --- formats, by what their schemas require
cat >"$work/formats.py" <<'python'
import json, re, sys
given, name = json.load(sys.stdin), sys.argv[1]
if name == "gradescope":
    assert set(given) <= {"score", "execution_time", "output", "output_format", "visibility",
                          "stdout_visibility", "extra_data", "tests", "leaderboard"}
    shown = {"visible", "hidden", "after_due_date", "after_published"}
    assert isinstance(given["execution_time"], int) and given["visibility"] in shown
    for test in given["tests"]:
        assert set(test) <= {"score", "max_score", "status", "name", "number", "output", "tags",
                             "visibility", "extra_data", "name_format", "output_format"}
        assert 0 <= test["score"] <= test["max_score"] and test["visibility"] in shown
        assert test["status"] in ("passed", "failed")
    assert all({"name", "value"} <= set(row) for row in given["leaderboard"])
    assert given["leaderboard"] == [{"name": "Claims that hold", "value": 1}], given["leaderboard"]
    tests, of = given["tests"], "max_score"
else:
    assert set(given) == {"schema", "classroom", "assignment", "assignment_type", "owner", "submission",
                          "commit", "release", "review", "datetime", "score", "max-score", "tests"}
    assert given["schema"] == "classroom50/result/v1"
    assert given["assignment_type"] in ("individual", "group")
    assert given["submission"].startswith("submit/")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", given["datetime"])
    for test in given["tests"]:
        assert {"test-name", "passed", "score", "max-score"} <= set(test)
        assert isinstance(test["passed"], bool) and isinstance(test["score"], int)
        assert 0 <= test["score"] <= test["max-score"]
    assert given["score"] == 1 and given["max-score"] == 1
    tests, of = given["tests"], "max-score"
assert sum(test["score"] for test in tests) == sum(test[of] for test in tests) == 1
python
for format in gradescope classroom50; do
    course/grade 1 "$work/answer" --only time --format "$format" >"$work/said" || true
    holds "--format $format is as its schema says" python3 "$work/formats.py" "$format" <"$work/said"
done
no_entry() { # who has no points is not on the leaderboard
    course/grade 1 "$work/1-switch" --only time --format gradescope >"$work/said" || true
    grep -q '"leaderboard": \[\]' "$work/said"
}
holds "who has no points is not on the leaderboard" no_entry
holds "--format xv6 ends with the score" graded 0 "Score: 1/1" course/grade 1 "$work/answer" --only time --format xv6
mkdir -p "$work/hidden/1-switch"
sed 's/"time",/"secret",/' course/labs/1-switch/lab.json >"$work/hidden/1-switch/lab.json"
rm "$work/answer/time.txt"
holds "a hidden claim says nothing" graded 1 "hidden: ask your teacher" \
    course/grade 1 "$work/answer" --only secret --hidden "$work/hidden"

# --- hostile submissions: no points, words, and no harm
lock=course/labs/6-lock
hostile() { # NAME WORDS CODE: a lock whose `read` does this
    mkdir "$work/$1"
    cat >"$work/$1/preferring.rs" <<end
use executive::g::WaitReason;
use executive::wait::Monitor;
pub const REASON: WaitReason = WaitReason::Monitor;
pub struct ReaderLock(Monitor<()>);
pub struct ReadGuard<'a>(pub &'a ReaderLock);
pub struct WriteGuard<'a>(pub &'a ReaderLock);
impl ReaderLock {
    pub const fn new() -> Self {
        ReaderLock(Monitor::new(()))
    }
    pub fn read(&self) -> ReadGuard<'_> {
        $3;
        #[allow(unreachable_code)]
        ReadGuard(self)
    }
    pub fn write(&self) -> WriteGuard<'_> {
        WriteGuard(self)
    }
}
end
    holds "hostile: $1: $2" graded 1 "$2" \
        course/grade 6 "$work/$1" --only a_free_lock_lets_in --patience "${patience:-60}"
    holds "hostile: $1 has no points" grep -q "^0 of 5 points" "$work/said"
}
patience=3 hostile loops "it hangs: ended after 3 s" 'loop { core::hint::spin_loop() }'
hostile waits "all goroutines are asleep" 'self.0.lock().wait(REASON);'
hostile spawns "out of memory for a goroutine's stack" \
    'fn more() { loop { let child = executive::go(more); core::mem::forget(child); executive::yield_now(); } } more();'
hostile floods "it printed more than 1 MiB" 'loop { executive::println!("a flood of words, a flood of words") }'
hostile panics "it ended with status 2" 'panic!("a bad day")'
hostile leaves "it ended before the claim was answered" 'executive::println!("holds 0"); executive::machine::exit(0)'
hostile unsafes "the word \`unsafe\`" 'unsafe { core::hint::unreachable_unchecked() }'
hostile reads "the word \`include_str\`" 'let _ = include_str!("/etc/passwd");'
mkdir "$work/links"
ln -s /etc/passwd "$work/links/preferring.rs"
holds "hostile: a link is not followed" graded 1 "is a link" course/grade 6 "$work/links"

# Whatever else is in the submission is never used: claims that always hold, a build script.
cp -r "$work/6-lock" "$work/edits"
printf 'fn main() { println!("holds {}", std::env::var("COURSE_TOKEN").unwrap()) }\n' >"$work/edits/$lock/claims/src/main.rs"
printf 'fn main() { std::fs::write("%s/harm", "").unwrap() }\n' "$work" |
    tee "$work/edits/$lock/build.rs" "$work/edits/$lock/claims/build.rs" "$work/edits/build.rs" >/dev/null
sed -i 's/"points": [0-9]*/"points": 0/' "$work/edits/$lock/lab.json"
holds "hostile: edited claims and build scripts are not used" graded 1 "0 of 5 points" \
    course/grade 6 "$work/edits" --only a_free_lock_lets_in
holds "hostile: no harm is done" eval '[[ ! -e $work/harm ]]'

# --- a lab in QEMU, whose claims are a kernel
device=$work/hidden/7-device
mkdir -p "$device/claims/src"
cat >"$device/claims/src/main.rs" <<'end'
#![no_std]
#![no_main]
extern crate alloc;
kernel::entry!(main);
fn main() {
    let controller = nvme::find().expect("a controller");
    assert!(controller.registers.read::<u32>(8) > 0x1_0000, "its version");
    let disk = nvme::disk::Disk::start(controller);
    assert!(disk.is_err(), "this one does not start");
    let token = kernel::command_line().split(' ').nth(1).unwrap_or_default();
    executive::println!("holds {token}");
}
end
sed 's/"it_starts"/"it_refuses"/' course/labs/7-device/lab.json >"$device/lab.json"
driver() { # NAME CODE: a driver whose `start` does this
    mkdir "$work/$1"
    sed "s|todo!(\"enable it\")|$2|" course/labs/7-device/src/disk.rs >"$work/$1/disk.rs"
}
driver refuses 'Err(Error::Failed)'
holds "in QEMU: a claim that holds has its points" graded 0 "14 of 14 points" \
    course/grade 7 "$work/refuses" --only it_refuses --hidden "$work/hidden" --patience 60
driver endless 'loop { core::hint::spin_loop() }'
holds "in QEMU: hostile: an endless loop ends, without points" graded 1 "it hangs: ended after 8 s" \
    course/grade 7 "$work/endless" --only it_starts --patience 8
driver switches-off 'executive::machine::exit(0)'
holds "in QEMU: hostile: who powers off has not answered" graded 1 "it ended before the claim was answered" \
    course/grade 7 "$work/switches-off" --only it_starts --patience 60

# --- a machine that counts: exactly, so instructions of which one knows are found again
only() { # CLAIM...: lab 4 with these claims alone
    mkdir -p "$work/hidden/4-deque"
    python3 - "$@" >"$work/hidden/4-deque/lab.json" <<'python'
import json, sys
lab = json.load(open("course/labs/4-deque/lab.json"))
print(json.dumps({**lab, "claims": [c for c in lab["claims"] if c["name"] in sys.argv]}))
python
}
counted() { # NAME IN-PUSH IN-STEAL: what a deque of one item costs that does this, too
    mkdir -p "$work/counted/$1"
    echo 3 >"$work/counted/$1/time.txt"
    cat >"$work/counted/$1/stealing.rs" <<end
use crate::atomic::{AtomicU32, Ordering::Relaxed};
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Steal {
    Item(u32),
    Empty,
    Retry,
}
pub struct Deque(AtomicU32);
impl Deque {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Deque(AtomicU32::new(0))
    }
    pub fn push(&self, item: u32) -> Result<(), u32> {
        $2
        self.0.store(item, Relaxed);
        Ok(())
    }
    pub fn pop(&self) -> Option<u32> {
        Some(self.0.load(Relaxed))
    }
    pub fn steal(&self) -> Steal {
        $3
        Steal::Item(self.0.load(Relaxed))
    }
}
end
    course/grade 4 "$work/counted/$1" --hidden "$work/hidden" --format gradescope >"$work/counted/$1/results.json" || true
}
one='core::hint::spin_loop();' # an instruction: pause
only time
counted plain "" ""
counted longer "$one $one $one" "$one $one"
counted panics "" 'if self.0.load(Relaxed) == 2927 { panic!("at the last") }'
only time the_owner_has_a_stack
counted wrong "" ""
cat >"$work/counted.py" <<'python'
import json, sys
def told(name):
    given = json.load(open(f"{sys.argv[1]}/{name}/results.json"))
    rows = [row for row in given["leaderboard"] if row["name"].startswith("Instructions: ")]
    assert all(row["order"] == "asc" for row in rows)
    return {row["name"].split(": ")[1]: row["value"] for row in rows}, given["output"]
(plain, _), (longer, _), (panics, why), (wrong, _) = map(told, ("plain", "longer", "panics", "wrong"))
print(plain, longer, panics, wrong, why)
assert longer == {"push and pop": plain["push and pop"] + 3, "push and steal": plain["push and steal"] + 5}
assert not panics and "were not counted" in why and "at the last" in why
assert not wrong, "a claim of its code does not hold"
python
holds "the leaderboard tells instructions, exactly, of who has earned it" \
    graded 0 "were not counted" python3 "$work/counted.py" "$work/counted"

# --- what a container is made of: here all of it is installed
all_is_there() { # what the Dockerfile copies, and the scripts that it runs
    local files
    files=$(sed -nE 's/^COPY (.*) [^ ]+$/\1/p; s/^RUN ([^ ]+).*/\1/p' Dockerfile)
    [[ $(wc -w <<<"$files") -ge 4 ]] && ls -d $files >"$work/said" 2>&1
}
holds "container: what the Dockerfile copies and runs is there" all_is_there
holds "container: the tools are there" graded 0 "all is here" tests/lib/container.sh tools

# --- a picture of a trace
cat >"$work/trace" <<'end'
> trace pingpong
{"displayTimeUnit":"ns","otherData":{"from_us":10.000,"to_us":30.000,"cut":"nothing"},"traceEvents":[
{"name":"thread_name","ph":"M","pid":0,"tid":0,"args":{"name":"CPU 0"}},
{"name":"ready 7","ph":"i","s":"t","ts":12.000,"pid":0,"tid":0},
{"name":"goroutine 1","ph":"X","ts":11.000,"dur":3.000,"pid":0,"tid":0,"args":{"until":"park"}},
{"name":"thread_name","ph":"M","pid":0,"tid":1,"args":{"name":"CPU 1"}},
{"name":"goroutine 7","ph":"X","ts":15.000,"dur":9.000,"pid":0,"tid":1,"args":{"until":"end"}}
]}
end
holds "draw: a row a CPU, an arrow from ready to start" graded 0 "2 runs, 1 arrows" course/draw "$work/trace"
holds "draw: it is XML" python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' <(course/draw "$work/trace" 2>/dev/null)
holds "draw: what is no trace is told" graded 1 "there is no trace in it" course/draw course/README.md

# --- last, for it builds all of it anew: a tree that has its crates in it
holds "a tree with its crates in it needs nothing else" \
    graded 0 "it builds, and fails as it should" course/skeleton 6 "$work/vendored"
holds "its cargo looks nowhere else" grep -q 'directory = "vendor"' "$work/vendored/.cargo/config.toml"

# Either service's archive, unpacked where nothing else is.
unpacked() { # SERVICE
    mkdir -p "$work/$1/source" "$work/$1/submission"
    echo 3 >"$work/$1/submission/time.txt"
    python3 -m zipfile -e "$work/zips/6-lock-$1.zip" "$work/$1/source"
}
on_gradescope() {
    AUTOGRADER=$work/gradescope bash "$work/gradescope/source/run_autograder" &&
        grep -q '"score": 1,' "$work/gradescope/results/results.json"
}
on_classroom50() {
    (cd "$work/classroom50/submission" && python3 ../source/autograder.py) &&
        grep -q '"score": 1,' "$work/classroom50/submission/result.json"
}
holds "both archives are made by one command" graded 0 "6-lock-classroom50.zip" course/zips 6 "$work/vendored" "$work/zips"
unpacked gradescope && unpacked classroom50 && rm -r "$work/vendored"
holds "Gradescope's grades in a bare folder" on_gradescope
holds "Classroom 50's does, too" on_classroom50

echo "$asked questions, $failed wrong"
((failed == 0))
