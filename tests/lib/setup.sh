# Sourced by qemu-run.sh and tests/run.sh: installs what they need, or says exactly how and exits 3.

# The toolchain that rust-toolchain.toml names.
need_rust() {
    if ! command -v rustup >/dev/null; then
        if [[ -x $HOME/.cargo/bin/rustup ]]; then
            PATH=$HOME/.cargo/bin:$PATH
        else
            missing "rustup is missing" "curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y"
        fi
    fi
    local channel
    channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    if ! { rustup toolchain list | grep -q "^$channel" && has_components; }; then
        # Before 1.28 rustup had no such command without a name, but installed whenever it was asked something.
        rustup toolchain install --no-self-update >&2 || rustup show >&2 || true
        has_components || missing "the toolchain could not be installed" "rustup toolchain install"
    fi
    command -v cc >/dev/null || need_packages gcc libc6-dev # the linker of everything that runs on the host
    command -v patch >/dev/null || need_packages patch # boot/loader/rustc
}

has_components() {
    local sysroot
    sysroot=$(rustc --print sysroot 2>/dev/null) &&
        [[ -d $sysroot/lib/rustlib/x86_64-unknown-none && -d $sysroot/lib/rustlib/src/rust/library ]] &&
        compgen -G "$sysroot/lib/rustlib/*/bin/llvm-objcopy" >/dev/null &&
        [[ -x $sysroot/bin/cargo-clippy && -x $sysroot/bin/rustfmt ]]
}

# QEMU for x86-64; with `ovmf`, UEFI firmware too.
need_qemu() {
    local packages=()
    command -v qemu-system-x86_64 >/dev/null || packages+=(qemu-system-x86)
    if [[ ${1-} = ovmf ]]; then
        compgen -G '/usr/share/OVMF/OVMF_CODE*' >/dev/null || compgen -G '/usr/share/edk2/*/OVMF_CODE*' >/dev/null ||
            packages+=(ovmf)
    fi
    ((${#packages[@]} == 0)) || need_packages "${packages[@]}"
}

need_packages() {
    local as_root=
    if [[ $EUID != 0 ]]; then
        as_root="sudo "
        sudo -n true 2>/dev/null || missing "$* missing" "sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    fi
    command -v apt-get >/dev/null || missing "$* missing, and there is no apt here" "your package manager's way to install $*"
    echo "installing $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    ${as_root}apt-get -qq update </dev/null >&2 &&
        ${as_root}apt-get -qq install -y --no-install-recommends "$@" </dev/null >&2 ||
        missing "$* could not be installed" "sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
}

missing() {
    printf '%s; install it with:\n    %s\n' "$1" "$2" >&2
    exit 3
}
