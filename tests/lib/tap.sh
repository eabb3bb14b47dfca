#!/usr/bin/env bash
# tap.sh COMMAND...: runs a command in a network namespace of its own. In it are the loop, and a TAP device `tap0`
# of several queues: this machine is 10.0.3.1 there, and a kernel (`./qemu-run.sh --tap tap0`) should be 10.0.3.2.
# Nothing outside is changed, and nothing is left. Status 77: it may not be made here; a line says why.
set -euo pipefail

if [[ ${1-} != --inside ]]; then
    [[ -c /dev/net/tun ]] || { echo "tap.sh: there is no /dev/net/tun"; exit 77; }
    [[ -r /dev/net/tun && -w /dev/net/tun ]] || { echo "tap.sh: /dev/net/tun may not be opened"; exit 77; }
    type ip unshare &>/dev/null || { echo "tap.sh: the programs ip and unshare are needed"; exit 77; }
    ways=(--net --mount)
    ((EUID == 0)) || ways+=(--map-root-user)
    unshare "${ways[@]}" true 2>/dev/null || { echo "tap.sh: a network namespace may not be made"; exit 77; }
    exec unshare "${ways[@]}" "$0" --inside "$@"
fi
shift
mount -t sysfs sysfs /sys # that of this namespace
ip link set lo up
ip tuntap add dev tap0 mode tap multi_queue
ip address add 10.0.3.1/24 dev tap0
ip link set tap0 up
exec "$@"
