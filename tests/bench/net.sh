#!/usr/bin/env bash
# The race of networks: our kernel (kernel/examples/netbench.rs) against Linux with Go's net and net/http
# (tests/bench/go-net), in the same QEMU, at the same TAP device, measured by the same client, alternating.
#
#   tests/bench/net.sh [--smp "1 2"] [--boots N] [--seconds N] [--idle N] [--only "ROWS"] [--ours] [--floor]
#
# Prints a table: per row and number of CPUs the median of each over the boots (default 2), and ours/theirs.
#   --seconds N     of each measurement by wrk (default 4); the others take half of it
#   --idle N        idle connections whose memory is asked for (default 5000); for more than 20,000 both have 4 GiB
#   --only "ROWS"   of http1 http16 http256 new echo send receive idle
#   --ours          without Linux and Go
#   --floor         and the round trip of a bare loop without TCP (kernel/examples/netfloor.rs): what the emulator and the card take
# As it stands it takes eight minutes on a quiet machine of two CPUs. Needs root (a network namespace, which it makes and which
# ends with it), Go (on PATH, or GO=), and by apt: wrk iproute2 cpio, and a kernel of Debian's for the cloud, which is fetched
# into target/net-race and installed nowhere. What is missing it says, with status 77. What boots said is kept in target/net-race.
set -euo pipefail
cd "$(dirname "$0")/../.."

smp="1 2" boots=2 seconds=4 idle=5000 only= ours= floor=
arguments=("$@")
while (($#)); do
    case $1 in
    --smp) smp=$2 && shift ;;
    --boots) boots=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    --idle) idle=$2 && shift ;;
    --only) only=$2 && shift ;;
    --ours) ours=1 ;;
    --floor) floor=1 ;;
    --help | -h) sed -n '2,15s/^# \{0,1\}//p' "$0" && exit ;;
    *) echo "net.sh: unknown option $1 (--help tells the options)" >&2 && exit 2 ;;
    esac
    shift
done

missing() { echo "net.sh: $1" && exit 77; }
out=${CARGO_TARGET_DIR:-$PWD/target}/net-race
mkdir -p "$out"

if [[ ! ${NET_RACE-} ]]; then # once, outside of the namespace
    ((EUID == 0)) || missing "only root may make the network"
    type wrk ip cpio qemu-system-x86_64 >/dev/null || missing "apt-get install wrk iproute2 cpio qemu-system-x86"
    go=${GO:-$(command -v go)} || missing "Go is needed, on PATH or in GO="
    (cd tests/bench/go-net && CGO_ENABLED=0 "$go" build -o "$out/" ./guest ./client)
    if [[ ! $ours && ! -e $out/initrd ]]; then
        package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
        [[ $package ]] || missing "apt knows no linux-image-cloud-amd64"
        (cd "$out" && apt-get download "$package" 2>/dev/null) || missing "apt-get download $package has failed"
        dpkg-deb -x "$out/$package"_*.deb "$out/linux"
        cp "$out"/linux/boot/vmlinuz-* "$out/vmlinuz"
        mkdir -p "$out/root/modules"
        for module in virtio virtio_ring virtio_pci virtio_pci_modern_dev virtio_pci_legacy_dev failover net_failover virtio_net; do
            find "$out/linux/lib/modules" -name "$module.ko" -exec cp {} "$out/root/modules" \;
        done
    fi
    if [[ ! $ours ]]; then
        cp "$out/guest" "$out/root/init"
        (cd "$out/root" && find . | cpio -o -H newc --quiet | gzip -1 >"$out/initrd")
    fi
    source tests/lib/build.sh
    build_boot
    [[ ! $floor ]] || build_kernel netfloor
    NET_FLOOR="$boot --kernel ${kernel-}"
    build_kernel netbench
    export NET_FLOOR
    NET_RACE="$boot --kernel $kernel" exec tests/lib/tap.sh "$0" "${arguments[@]}"
fi

ulimit -n "$(ulimit -Hn)"
memory=1G from=
if ((idle > 20000)); then
    memory=4G from=10.0.3.1
    for ((n = 3; n <= 3 + idle / 40000; n++)); do
        ip address add "10.0.3.$n/24" dev tap0 && from+=" 10.0.3.$n"
    done
fi
echo "10000 65000" >/proc/sys/net/ipv4/ip_local_port_range
echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse
machine=
end() { # the group that `measure` has started, and nothing else
    [[ $machine ]] || return 0
    kill -TERM -- "-$machine" 2>/dev/null || true
    wait "$machine" 2>/dev/null || true
    machine=
}
trap end EXIT
trap 'exit 130' INT TERM

# measure WHO CPUS BOOT COMMAND...: boots it, and appends its lines to $out/lines.
measure() {
    local who=$1 cpus=$2 name=$1.$2.$3
    shift 3
    echo "# $(date -u +%T) $name: load $(cut -d' ' -f1-3 /proc/loadavg)"
    setsid "$@" </dev/null >"$out/$name.console" 2>&1 &
    machine=$!
    timeout $((300 + idle / 100)) "$out/client" -seconds "$seconds" -idle "$idle" -from "$from" -only "$only" >"$out/$name.rows" ||
        echo "# $name: $(grep '^#' "$out/$name.rows" | paste -sd';')"
    sed "/^#/d; s/^/$who $cpus /" "$out/$name.rows" >>"$out/lines"
    end
    sleep 1 # the TAP device is free again
}

: >"$out/lines"
for ((nth = 1; nth <= boots; nth++)); do
    for cpus in $smp; do
        queues=$((cpus > 2 ? cpus : 2)) # a TAP device of several queues is not opened for one
        # shellcheck disable=SC2086 # NET_RACE is a command
        measure ours "$cpus" "$nth" $NET_RACE --smp "$cpus" --mem "$memory" --timeout $((600 + idle / 100)) --tap tap0 --run "10.0.3.2/24 10.0.3.1"
        if [[ $floor ]]; then
            # shellcheck disable=SC2086 # a command, too
            only=floor measure ours "$cpus" "$nth.floor" $NET_FLOOR --smp "$cpus" --timeout 600 --tap tap0
        fi
        [[ $ours ]] || measure theirs "$cpus" "$nth" qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max -smp "$cpus" -m "$memory" \
            -nodefaults -display none -no-reboot -serial stdio -kernel "$out/vmlinuz" -initrd "$out/initrd" \
            -append "console=ttyS0 quiet tsc=reliable clocksource=tsc panic=-1" \
            -netdev "tap,id=tap,ifname=tap0,script=no,downscript=no,vhost=off,queues=$queues" \
            -device virtio-net-pci,netdev=tap,romfile=,mq=on
    done
done

# who cpus row value unit
awk '
function median(list, sorted, n, i, j, t) {
    n = split(list, sorted, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && sorted[j] + 0 < sorted[j - 1] + 0; j--) { t = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = t }
    return n ? (sorted[int((n + 1) / 2)] + sorted[int(n / 2) + 1]) / 2 : ""
}
{
    key = $2 " " $3
    if (!(key in unit)) order[++keys] = key
    unit[key] = $5
    values[$1, key] = values[$1, key] " " $4
}
END {
    printf "%-4s %-14s %12s %12s %-5s %12s\n", "cpus", "row", "ours", "linux+go", "unit", "ours/theirs"
    for (i = 1; i <= keys; i++) {
        split(order[i], part, " ")
        us = median(values["ours", order[i]]); them = median(values["theirs", order[i]])
        printf "%-4s %-14s %12.5g %12s %-5s %12s\n", part[1], part[2], us, them == "" ? "-" : sprintf("%.5g", them), unit[order[i]], \
            them + 0 && us != "" ? sprintf("%.2f", us / them) : "-"
    }
}' "$out/lines"
