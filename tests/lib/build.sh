# Sourced by qemu-run.sh and tests/run.sh: the host tool and the kernel, built once and in one way.

target=${CARGO_TARGET_DIR:-$PWD/target}
[[ $target = /* ]] || target=$PWD/$target

# Cargo's options for the kernel's own target: x86_64-unknown-none with SSE2 and unwinding instead of soft float and abort.
# Rust brings no core for it, so core is built too. Not in .cargo/config.toml, which the cargo in `bootloader`'s build script reads.
goroutine=(--target kernel/x86_64-goroutine.json -Zjson-target-spec
    -Zbuild-std=core,alloc,compiler_builtins -Zbuild-std-features=compiler-builtins-mem)

# The host tool, at $boot. In the dev profile and with no target directory in the environment: see boot/Cargo.toml.
# By boot/loader/rustc, which mends the BIOS loader; what cargo built of it before is thrown away if the diff is newer.
build_boot() {
    if [[ -e $target/CACHEDIR.TAG && boot/loader/stage-2.diff -nt $target/debug/boot ]]; then
        cargo clean --quiet --package bootloader --target-dir "$target"
    fi
    env -u CARGO_TARGET_DIR -u CARGO_BUILD_TARGET_DIR RUSTC_WRAPPER="$PWD/boot/loader/rustc" \
        cargo build --quiet --package boot --target-dir "$target"
    boot=$target/debug/boot
}

# build_kernel [EXAMPLE]: the kernel, or one of its examples, at $kernel; by a cargo with $cargo_options, if there are any.
build_kernel() {
    local what=(--package shell)
    kernel=$target/x86_64-goroutine/release/kernel
    if [[ -n ${1-} ]]; then
        what=(--package kernel --example "$1")
        [[ $1 != own_heap ]] || what+=(--features own-heap)
        kernel=$target/x86_64-goroutine/release/examples/$1
    fi
    cargo ${cargo_options[@]+"${cargo_options[@]}"} build --quiet "${what[@]}" --release "${goroutine[@]}" --target-dir "$target"
}
