#!/usr/bin/env bash
# What a container for this project is made of: the steps that Dockerfile and .devcontainer share.
#
#   tests/lib/container.sh tools     # the toolchain, a linker, QEMU (as root, or by sudo)
#   tests/lib/container.sh built     # the crates, the tool for disk images, a kernel, host tests
#   tests/lib/container.sh loop      # is an edit answered within 5 s?
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/lib/setup.sh

tools() {
    command -v curl >/dev/null || need_packages curl ca-certificates
    command -v rustup >/dev/null || [[ -x $HOME/.cargo/bin/rustup ]] ||
        curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none
    need_rust
    need_qemu
    command -v python3 >/dev/null || need_packages python3
    echo "$(cargo --version), $(qemu-system-x86_64 --version | head -1): all is here"
}

built() {
    need_rust
    cargo fetch --quiet
    cargo test --quiet -p executive-core --lib --no-run
    source tests/lib/build.sh
    build_boot
    build_kernel
}

# From an edit to the answer of one host test.
loop() {
    need_rust
    cargo test --quiet -p executive-core --lib any_mix_of_operations >/dev/null
    touch kernel/executive/core/src/nouns/waitq.rs
    local begun=$EPOCHREALTIME
    cargo test --quiet -p executive-core --lib any_mix_of_operations >/dev/null
    local took=$(((${EPOCHREALTIME/./} - ${begun/./}) / 1000))
    echo "an edit is answered after $took ms"
    ((took < 5000))
}

case ${1-} in
tools | built | loop) "$1" ;;
*) sed -n '2,6s/^# \?//p' "$0" >&2 && exit 2 ;;
esac
