#!/usr/bin/env bash
# 4 KiB reads a second from a virtio disk: ours and a Linux guest's, by turns in the same QEMU.
# usage: tests/bench/disk.sh VMLINUZ MODULES [CPUS [ROUNDS]]
#   VMLINUZ, MODULES   a Linux kernel and its /lib/modules/VERSION, such as Debian's
#                      linux-image-cloud-amd64 has: apt-get download, dpkg-deb -x
set -euo pipefail
(($# >= 2)) || { sed -n '2,5s/^# //p' "$0" && exit 2; }
vmlinuz=$(realpath -e "$1") modules=$(realpath -e "$2") cpus=${3:-1} rounds=${4:-3}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/lib/build.sh
build_boot
build_kernel
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/root/dev" "$work/root/sys"
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
    cp "$(find "$modules" -name "$module.ko" | head -1)" "$work/root/"
done
cc -O2 -static -pthread -o "$work/root/init" tests/bench/disk.c
(cd "$work/root" && find . | cpio -o -H newc --quiet) >"$work/initrd"
head -c 256M /dev/urandom >"$work/disk"

linux() {
    timeout 120 qemu-system-x86_64 -accel tcg,thread=multi -machine q35 -cpu max -smp "$cpus" -m 512M \
        -nodefaults -display none -serial stdio -no-reboot -kernel "$vmlinuz" -initrd "$work/initrd" \
        -append "console=ttyS0 quiet tsc=reliable clocksource=tsc panic=-1" \
        -drive "if=none,id=disk0,format=raw,file=$work/disk" -device virtio-blk-pci,drive=disk0 </dev/null
}
ours() {
    "$boot" --kernel "$kernel" --smp "$cpus" --disk "$work/disk" --timeout 120 --run "disk-bench 0 3"
}
for ((round = 0; round < rounds; round++)); do
    for who in linux ours; do
        $who | tr -d '\r' | sed -n "s/^\(blk_.*,IOPS\)$/$who,\1/p" | tee -a "$work/rows"
    done
done
echo
sort -t, -k1,2 -k3n "$work/rows" | awk -F, '
    { n[$1 "," $2]++; row[$1 "," $2 "," n[$1 "," $2]] = $3; names[$2] }
    function median(who) { return row[who "," int((n[who] + 1) / 2)] }
    END {
        for (name in names)
            printf "%-12s linux %8d  ours %8d  ours/linux %5.2f\n", name, median("linux," name),
                median("ours," name), median("ours," name) / median("linux," name)
    }' | sort
