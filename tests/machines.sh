#!/usr/bin/env bash
# Boots the kernel on every machine that QEMU and Bochs can be, and writes what was seen into docs/machines.md.
# usage: tests/machines.sh [--cheap] [WORD...]
#   --cheap   a few machines only, a minute's worth, and writes nothing: for CI
#   WORD...   machines that have the word in their name, whose rows alone are written
# The status is 0 if every machine did what its row expects. QEMU10 names another qemu-system-x86_64 (its firmware
# beside it, in ../share): rows that need it are skipped where it is missing. Bochs is installed; rows for it are
# skipped where it cannot be.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
[[ ${1-} != -h && ${1-} != --help ]] || { sed -n '2,8s/^# //p' tests/machines.sh && exit 0; }

cheap=
[[ ${1-} != --cheap ]] || { cheap=1 && shift; }
words=("$@")
source tests/lib/setup.sh
source tests/lib/build.sh
if [[ -n ${BOOT-} && -n ${KERNEL-} ]]; then
    boot=$BOOT kernel=$KERNEL
else
    need_rust
    need_qemu ovmf
    build_boot && build_kernel || exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows=$work/rows
# QEMU takes SD cards whose size is a power of two.
"$boot" --kernel "$kernel" --image "$work/card.img" >/dev/null && truncate -s 8M "$work/card.img" || exit
failed=0 tried=0

wanted() { # NAME CHEAP
    local word
    [[ -z $cheap || -n $2 ]] || return 1
    ((${#words[@]})) || return 0
    for word in "${words[@]}"; do [[ $1 == *"$word"* ]] && return; done
    return 1
}

skip() { # NAME WHY
    echo "skipped: $1: $2"
    echo "| $1 | - | skipped: $2 |" >>"$rows"
}

# What a machine said, in a few words: its CPUs and clocks; and what it could not use.
seen() { # OUTPUT
    local cpus clock notes
    cpus=$(sed -n 's/^CPUs: \(.*\), APIC ids \(.*\)/\1 \2/p' "$1" | head -1)
    clock=$(sed -n 's/^clock: .*, says \(.*\), and \(.*\); alarms: \(the APIC\|TSC deadlines\).*/\1, \2, \3/p' "$1" | head -1)
    notes=$(grep -E '^ACPI: |did not come up|are not used|are used|nothing is run|no clock|differs from|switched off by|devices cannot interrupt' "$1" | sort -u | head -3 | paste -sd ';')
    echo "${cpus:-?}; ${clock:-?}${notes:+; $notes}"
}

# row NAME [KEY=VALUE...] [-- QEMU-ARGUMENTS]: boots it, and looks whether it computes.
#   board cpu smp mem vga disk uefi cheap      the machine, q35 with 2 CPUs and 512 MiB if not told
#   qemu=10        by the other QEMU
#   run=COMMANDS   what it does before the rest
#   says=TEXT      it must say this, and need not compute
#   mute=1         it has no serial line: its status alone tells
row() {
    local name=$1 board=q35 cpu=max smp=2 mem=512M vga=std disk='ide-hd,drive=image' uefi='' cheap_too='' qemu='' run='' says='' mute='' limit=${LIMIT-120}
    shift
    while (($#)) && [[ $1 != -- ]]; do
        case $1 in
        cheap=*) cheap_too=1 ;;
        *) local "${1%%=*}"="${1#*=}" ;;
        esac
        shift
    done
    (($# == 0)) || shift
    wanted "$name" "$cheap_too" || return 0
    local path=$PATH out=$work/out status begun=$SECONDS
    if [[ -n $qemu ]]; then
        [[ -n ${QEMU10-} ]] || { skip "$name" "no other QEMU (QEMU10)" && return; }
        mkdir -p "$work/bin"
        local share=${QEMU10%/bin/*}/share
        printf '#!/bin/sh\nexec %q -L %q -L %q "$@"\n' "$QEMU10" "$share/qemu" "$share/seabios" >"$work/bin/qemu-system-x86_64"
        chmod +x "$work/bin/qemu-system-x86_64"
        path=$work/bin:$PATH
    fi
    local commands="${run:+$run; }report; sieve 500; spawn 2000"
    [[ -z $mute ]] || commands='sieve 500; spawn 2000; exit 7'
    PATH=$path "$boot" --kernel "$kernel" --bare ${uefi:+--uefi} --smp "$smp" --mem "$mem" --timeout "$limit" --run "$commands" -- \
        -machine "$board" -cpu "$cpu" -vga "$vga" -device isa-debug-exit,iobase=0xf4,iosize=4 "$@" -device $disk >"$out" 2>&1 </dev/null
    status=$?
    tr -d '\r' <"$out" >"$out.text"
    local verdict=works
    if [[ -n $says ]]; then
        grep -qF "$says" "$out.text" && verdict="says: $(grep -F "$says" "$out.text" | head -1)" || verdict=FAILS
    elif [[ -n $mute ]]; then
        ((status == 7)) || verdict=FAILS
    elif ((status != 0)) || ! grep -q 3571 "$out.text"; then
        verdict=FAILS
    fi
    finish "$name" "$verdict" "$out.text" "$status" $((SECONDS - begun))
}

finish() { # NAME VERDICT OUTPUT STATUS SECONDS
    tried=$((tried + 1))
    local seen=
    [[ $2 != works || -n ${mute-} ]] || seen=$(seen "$3")
    if [[ $2 == FAILS ]]; then
        failed=$((failed + 1))
        seen="status $4: $(grep -v '^ *$' "$3" | tail -1 | cut -c1-160)"
    fi
    printf '%-44s %s (%d s): %s\n' "$1" "$2" "$5" "$seen"
    echo "| $1 | $2 | ${seen//|/,} |" >>"$rows"
}

# Bochs, the plugin that draws on an X server, such a server, and both ROMs. Packages of Debian only recommend
# one another here: each is looked for by a file of its own, and through links.
need_bochs() {
    local packages=()
    [[ -x /usr/bin/bochs-bin ]] || packages+=(bochs)
    compgen -G '/usr/lib/*/bochs/plugins/libbx_x_gui.so' >/dev/null || packages+=(bochs-x)
    [[ -e /usr/share/bochs/BIOS-bochs-latest ]] || packages+=(bochsbios)
    [[ -e /usr/share/bochs/VGABIOS-lgpl-latest ]] || packages+=(vgabios)
    command -v Xvfb >/dev/null || packages+=(xvfb)
    ((${#packages[@]} == 0)) || need_packages "${packages[@]}"
}

# bochs NAME MODEL CPUS [COMMAND TEXT]: as `row`; an independent implementation of a PC. The command comes before the
# rest, and must say this.
bochs() {
    local name=$1 model=$2 cpus=$3 command=${4-} text=${5-} begun=$SECONDS status
    wanted "$name" "" || return 0
    (need_bochs) || { skip "$name" "no Bochs" && return; }
    if [[ -z ${DISPLAY-} ]]; then
        Xvfb :77 -screen 0 1280x1024x24 >/dev/null 2>&1 &
        trap "kill $!; rm -rf '$work'" EXIT
        export DISPLAY=:77
        sleep 1 # it makes no promise when it is ready, and Bochs does not wait
    fi
    local share=/usr/share/bochs image=$work/bochs.img cylinder=$((16 * 63 * 512)) cylinders out=$work/out
    "$boot" --kernel "$kernel" --image "$image" --run "${command:+$command; }report; sieve 500; spawn 500" >/dev/null || return
    cylinders=$((($(stat -c %s "$image") + cylinder - 1) / cylinder))
    truncate -s $((cylinders * cylinder)) "$image"
    rm -f "$out"
    cat >"$work/bochsrc" <<END
config_interface: textconfig
display_library: x
romimage: file=$share/BIOS-bochs-latest
vgaromimage: file=$share/VGABIOS-lgpl-latest
cpu: model=$model, count=$cpus, ips=200000000
memory: guest=256, host=256
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=$image, mode=volatile, cylinders=$cylinders, heads=16, spt=63
boot: disk
com1: enabled=1, mode=file, dev=$out
log: $work/bochs.log
panic: action=fatal
END
    echo c >"$work/continue"
    timeout "${LIMIT-180}" bochs-bin -q -f "$work/bochsrc" -rc "$work/continue" >"$work/bochs.out" 2>&1 </dev/null
    status=$?
    touch "$out"
    tr -d '\r' <"$out" >"$out.text"
    local verdict=FAILS
    # Bochs ends when ACPI switches the machine off.
    grep -q 3571 "$out.text" && grep -qF "$text" "$out.text" && grep -q 'soft power off' "$work/bochs.log" && verdict=works
    finish "$name" "$verdict" "$out.text" "$status" $((SECONDS - begun))
}

# Boards and what they lack.
row "pc" board=pc cheap=1
row "q35" cheap=1
row "pc, UEFI" board=pc uefi=1
row "q35, UEFI" uefi=1 cheap=1
row "pc-i440fx-4.2" board=pc-i440fx-4.2
row "pc, no HPET" board=pc,hpet=off
row "pc, no HPET, no PIT" board=pc,hpet=off,pit=off cheap=1
row "pc, no ACPI" board=pc,acpi=off smp=1
row "pc, no ACPI, no HPET" board=pc,acpi=off,hpet=off smp=1
row "pc, no clock at all" board=pc,acpi=off,hpet=off,pit=off smp=1 says="this machine has no clock" cheap=1
row "pc, no serial line" board=pc mute=1 cheap=1 -- -serial none
row "q35, UEFI, no serial line" uefi=1 mute=1 -- -serial none
row "q35, no keyboard controller" board=q35,i8042=off
row "q35, SMM off" board=q35,smm=off
row "q35, no SATA" board=q35,sata=off disk=nvme,drive=image,serial=1
# Screens. The bootloader wants one.
row "q35, cirrus" vga=cirrus
row "q35, ati-vga" vga=none cheap=1 -- -device ati-vga # its BIOS leaves other segments behind
row "q35, bochs-display" vga=none -- -device bochs-display
row "q35, UEFI, virtio-vga" vga=virtio uefi=1
row "q35, UEFI, no screen" vga=none uefi=1
row "q35, UEFI, bochs-display" vga=none uefi=1 -- -device bochs-display
# CPUs.
for cpu in qemu64 kvm64 core2duo Nehalem Westmere SandyBridge IvyBridge Haswell Broadwell Skylake-Client Skylake-Server \
    Cascadelake-Server Icelake-Server Snowridge Opteron_G1 Opteron_G3 EPYC EPYC-Rome EPYC-Milan; do
    row "cpu $cpu" cpu=$cpu
done
row "cpu Opteron_G5" cpu=Opteron_G5 cheap=1 # XSAVE without XSAVEOPT
row "cpu max, la57" cpu=max,la57=on
row "cpu max, 36 address bits" cpu=max,phys-bits=36,host-phys-bits=off
# Several of them.
row "1 CPU" smp=1 cheap=1
row "2 sockets, 3 cores (gaps in APIC ids)" smp=6 cheap=1 -- -smp 6,sockets=2,cores=3
row "2 sockets, 2 dies, 2 threads" smp=8 -- -smp 8,sockets=2,dies=2,cores=1,threads=2
row "3 of 8 CPUs are there" smp=3 -- -smp 3,maxcpus=8
row "16 CPUs" smp=16
row "64 CPUs" smp=64 mem=1G
row "2 NUMA nodes" smp=4 -- -object memory-backend-ram,id=m0,size=256M -object memory-backend-ram,id=m1,size=256M \
    -numa node,cpus=0-1,memdev=m0 -numa node,cpus=2-3,memdev=m1
# Memory.
for mem in 64M 128M 2G 3G 4G 6G 20G; do row "$mem" mem=$mem; done
row "64M, UEFI" mem=64M uefi=1
row "6G, UEFI" mem=6G uefi=1
# Disks.
for uefi in '' 1; do
    row "${uefi:+UEFI, }USB stick (xHCI)" uefi=$uefi disk=usb-storage,drive=image -- -device qemu-xhci
    row "${uefi:+UEFI, }USB stick (EHCI)" uefi=$uefi disk=usb-storage,drive=image -- -device usb-ehci
    row "${uefi:+UEFI, }NVMe" uefi=$uefi disk=nvme,drive=image,serial=1
    row "${uefi:+UEFI, }virtio-blk" uefi=$uefi disk=virtio-blk-pci,drive=image
    row "${uefi:+UEFI, }virtio-scsi" uefi=$uefi disk=scsi-hd,drive=image -- -device virtio-scsi-pci
    [[ -n $uefi ]] || row "SD card" disk=sd-card,drive=card -- -device sdhci-pci -drive "if=none,id=card,format=raw,snapshot=on,file=$work/card.img"
done
# Interrupt remapping.
row "q35, intel-iommu" -- -device intel-iommu
row "q35, intel-iommu, remapping" board=q35,kernel-irqchip=off -- -device intel-iommu,intremap=on
row "q35, amd-iommu" -- -device amd-iommu
row "q35, UEFI, intel-iommu" uefi=1 -- -device intel-iommu
# Another QEMU: x2APIC without hardware virtualisation, and more CPUs.
row "QEMU 10: q35" qemu=10
row "QEMU 10: q35, UEFI" qemu=10 uefi=1
row "QEMU 10: pc" qemu=10 board=pc
row "QEMU 10: x2apic off" qemu=10 cpu=max,-x2apic
row "QEMU 10: 128 CPUs" qemu=10 smp=128 mem=1G limit=300
# A disk's message cannot name the second CPU. Were it sent there, it would be lost, and a request given up after 30 s.
row "QEMU 10: APIC ids 0 and 289, a disk" qemu=10 smp=1 run='disk-overwrite 0 20; disk-overwrite 0 3' -- -smp 1,sockets=290,maxcpus=290 \
    -device max-x86_64-cpu,socket-id=289,die-id=0,module-id=0,core-id=0,thread-id=0 \
    -drive "if=none,id=disk,format=raw,snapshot=on,file=$work/card.img" -device virtio-blk-pci,drive=disk
row "QEMU 10: 300 CPUs" qemu=10 smp=2 mem=2G limit=600 -- -smp 300 -device intel-iommu,intremap=on
# Bochs.
for model in p4_prescott_celeron_336 core2_penryn_t9600 corei5_lynnfield_750 corei7_sandy_bridge_2600k corei7_haswell_4770 \
    corei7_icelake_u athlon64_clawhammer phenom_8650_toliman ryzen; do
    bochs "Bochs: $model" $model 1
done
# QEMU's emulator has no AVX-512.
kept="every register and flag was kept, zmm and k too (2688 bytes by XSAVE)"
bochs "Bochs: corei7_skylake_x, AVX-512 preempted" corei7_skylake_x 1 "registers 1000" "$kept"
bochs "Bochs: corei7_skylake_x, 4 CPUs, AVX-512 preempted" corei7_skylake_x 4 "registers 1000" "$kept"
bochs "Bochs: ryzen, 2 CPUs" ryzen 2

echo "$tried machines, $failed did not do what they should"
page=docs/machines.md
if [[ -z $cheap ]] && ((${#words[@]} == 0)); then
    {
        sed '/^<!-- seen -->$/q' $page
        echo
        echo "| machine | | what it says it has (CPUs' APIC mode and ids; clock, and who agrees; alarms), and what it could not use |"
        echo "| --- | --- | --- |"
        cat "$rows"
    } >"$work/machines.md" && cp "$work/machines.md" $page
elif [[ -z $cheap && -s $rows ]]; then
    # Each in its place. A row that is not there yet is for a run of all.
    grep -v '| skipped: ' "$rows" >"$work/new"
    awk -F'|' 'NR == FNR { row[$2] = $0; next } /^\|/ && $2 in row { $0 = row[$2] } { print }' "$work/new" $page >"$work/machines.md" &&
        cp "$work/machines.md" $page
fi
((failed == 0))
