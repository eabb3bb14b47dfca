#!/usr/bin/env bash
# Builds the kernel and its disk image, and boots it in QEMU with a console in this terminal.
# Installs what is missing. The machine itself is boot/src/qemu.rs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'END'
usage: ./qemu-run.sh [OPTIONS] [-- QEMU-ARGUMENTS]

Boots the kernel in QEMU. You talk to its console: `help` lists the commands, `exit` powers off.
Ctrl-A X ends QEMU from outside, Ctrl-A C is its monitor.
What is piped in is typed, as fast as it is taken. Its end is Ctrl-D: the status is then 0 only if
every command succeeded and no byte was lost.

  --smp N            CPUs (default: twice the host's, at most 4)
  --mem SIZE         memory, as QEMU writes it: 64M, 2G (default 512M; less than 24M is not enough)
  --uefi             boot from UEFI (default: BIOS)
  --run "A; B"       run these console commands without a person, then power off;
                     the exit status is 0 only if every command succeeded
  --timeout SECONDS  end the machine after so long, with status 124
                     (default: 300 without a person, otherwise never)
  --disk FILE        a disk more (virtio), which holds what the file does, and writes to it; may be given
                     more than once
  --share DIR        a directory of this machine, which the kernel reads and writes: /share
  --net [HOSTPORT:PORT...]
                     a network card (virtio): the kernel reaches this machine (10.0.2.2) and the outside,
                     and HOSTPORT of this machine leads to the kernel's PORT (with --example: 8080:80)
  --tap NAME         a network card (virtio) at this TAP device of this machine, with a queue for each CPU if
                     the device has several
  --ramdisk DIR      load what is in this directory with the kernel: its files are in /ram
  --gdb              wait for a debugger on port 1234, and tell how to start it
  --icount           the machine's time is the instructions it has executed, 1 ns each: `count` counts by it
  --example NAME     boot kernel/examples/NAME.rs instead
  --kernel ELF       boot this kernel instead, which was built elsewhere: as the `runner` of another
                     workspace (tests/outside/kernel/.cargo/config.toml) it makes `cargo run` boot
  --bare             QEMU's machine is what follows --: its board, its CPUs' kind, its devices, and how it
                     sees the disk, a drive called `image`
  --image PATH       only write the disk image, for a real machine: to a file, or to a whole disk
                     that nobody uses (a USB stick: /dev/sdX); --run and --ramdisk go into it
  --help             this text

What follows -- goes to QEMU: `./qemu-run.sh -- -display gtk`.
Status: the kernel's own; 124 timed out; 125 the machine died without a word (a triple fault);
126 QEMU or the image failed; 2 an option is wrong; 3 a program is missing and cannot be installed from here.
END
}

wrong() {
    echo "qemu-run.sh: $1 (--help tells the options)" >&2
    exit 2
}

example=
kernel=
default_forward= # where in the options one belongs, if `--net` names none
options=()
while (($#)); do
    case $1 in
    --help | -h) usage && exit 0 ;;
    --uefi | --gdb | --icount | --bare) options+=("$1") && shift ;;
    --net)
        options+=("$1")
        shift
        while (($#)) && [[ $1 = *:* && $1 != -* ]]; do
            [[ $1 =~ ^[1-9][0-9]{0,4}:[1-9][0-9]{0,4}$ ]] || wrong "--net needs ports such as 8080:80, not '$1'"
            options+=("$1")
            shift
        done
        [[ ${options[-1]} = --net ]] && default_forward=${#options[@]}
        ;;
    --smp | --mem | --run | --timeout | --disk | --share | --tap | --ramdisk | --image | --example | --kernel)
        (($# >= 2)) || wrong "$1 needs a value"
        value=$2
        case $1 in
        --smp) [[ $2 =~ ^[1-9][0-9]*$ ]] || wrong "--smp needs a number from 1 on, not '$2'" ;;
        --mem) [[ $2 =~ ^[1-9][0-9]*[KMGkmg]?$ ]] || wrong "--mem needs a size such as 64M, not '$2'" ;;
        --timeout) [[ $2 =~ ^[0-9]+(\.[0-9]+)?$ ]] || wrong "--timeout needs a number of seconds, not '$2'" ;;
        --disk)
            value=$(cd "$OLDPWD" && realpath -e "$2" 2>/dev/null) || wrong "--disk: there is no '$2'"
            ;;
        --tap) [[ -d /sys/class/net/$2 ]] || wrong "--tap: there is no network device '$2'" ;;
        --image)
            [[ $2 = /* ]] || value=$OLDPWD/$2 # it was said where the caller stands
            [[ -d ${value%/*}/ ]] || wrong "--image: there is no directory '${value%/*}'"
            ;;
        --share | --ramdisk)
            value=$(cd "$OLDPWD" && realpath -e "$2" 2>/dev/null) && [[ -d $value ]] || wrong "$1: there is no directory '$2'"
            ;;
        --example)
            [[ -f kernel/examples/$2.rs ]] || wrong "no example '$2'; there are: $(ls kernel/examples | sed -n 's/\.rs$//p' | xargs)"
            example=$2
            shift 2
            continue
            ;;
        --kernel)
            kernel=$(cd "$OLDPWD" && realpath -e "$2" 2>/dev/null) || wrong "--kernel: there is no '$2'"
            shift 2
            continue
            ;;
        esac
        options+=("$1" "$value")
        shift 2
        ;;
    --) options+=("$@") && break ;;
    -*) wrong "unknown option '$1'" ;;
    *) wrong "unexpected '$1'; did you mean --run \"$*\"?" ;;
    esac
done

if [[ -n $example && -n $default_forward ]]; then
    options=("${options[@]:0:default_forward}" 8080:80 "${options[@]:default_forward}")
fi

source tests/lib/setup.sh
need_rust
case " ${options[*]} " in
*" --image "*) ;;
*" --uefi "*) need_qemu ovmf ;;
*) need_qemu ;;
esac

source tests/lib/build.sh
if [[ -n $kernel ]]; then
    [[ -z $example ]] || wrong "--kernel and --example: which?"
    unset RUSTUP_TOOLCHAIN # cargo run says its own, and ours is another
    build_boot
else
    build_boot
    build_kernel "$example" # says where: $kernel
fi
exec "$boot" --kernel "$kernel" "${options[@]}"
