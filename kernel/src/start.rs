//! Start-up: from the bootloader's jump to goroutine 1, one call a line.
#![allow(unsafe_code)] // GS, and slices that the bootloader describes by numbers.

use crate::vectors::ISA_COM1;
use crate::{
    acpi, apic, clock, cpu, frames, fwcfg, gdt, hold, i8042, idt, ioapic, layout, mtrr, pages,
    paging, param, power, rtc, screen, serial, symbols, trap, window,
};
use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::info::{BootInfo, FrameBuffer, MemoryRegion};
use core::slice;
use executive::sampling;
use spin::Once;

/// What the kernel asks of the bootloader.
pub const BOOT: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config.mappings.kernel_base = Mapping::FixedAddress(layout::KERNEL);
    config.mappings.dynamic_range_start = Some(layout::DYNAMIC_START);
    config.mappings.dynamic_range_end = Some(layout::DYNAMIC_END);
    // It becomes the stack of CPU 0's g0; a guard page lies below it.
    config.kernel_stack_size = param::BOOT_STACK_BYTES;
    config
};

/// The boot CPU starts here, on the bootloader's stack. `main` becomes goroutine 1; when it
/// returns, the run ends with status 0.
pub fn start(info: &'static mut BootInfo, main: fn()) -> ! {
    bring_up(info);
    MAIN.call_once(|| main);
    executive::start(first)
}

static MAIN: Once<fn()> = Once::new();

/// Goroutine 1.
fn first() {
    screen::start_drawing();
    MAIN.get().expect("`start` has set it")()
}

/// Brings the machine from the bootloader's state to one in which every hook works.
pub fn bring_up(info: &'static mut BootInfo) {
    // SAFETY: this is CPU 0.
    unsafe { cpu::set_gs(executive::percpu_block(0)) }; // locks work from here on
    cpu::init();
    mtrr::init();
    serial::init(); // printing works from here on
    let boot = Boot::read(info);
    window::init(boot.window);
    frames::init(boot.map);
    paging::init(); // the heap works from here on
    screen::init(boot.framebuffer); // what is printed from here on is seen on the screen too
    serial::tell();
    symbols::init(boot.kernel, boot.kernel_length, boot.kernel_offset);
    #[cfg(panic = "unwind")]
    crate::unwind::init();
    gdt::load(0);
    idt::load(); // faults are reported from here on
    let platform = acpi::init(boot.rsdp, boot.map);
    apic::init_this_cpu();
    hold::join(); // not before the APIC takes interrupts
    executive::stacks::offer(hold::still, true);
    let is_there = |address| pages::is_present(address & !(pages::PAGE - 1));
    sampling::insist_by(trap::ask, is_there);
    clock::init(platform);
    rtc::init();
    fwcfg::init(boot.ramdisk);
    ioapic::init();
    power::init();
    i8042::init();
    if serial::is_present() && ioapic::route_isa(ISA_COM1, 0) {
        serial::enable_interrupts();
    }
}

/// What the bootloader tells, as plain numbers and slices.
struct Boot {
    window: u64,
    map: &'static [MemoryRegion],
    rsdp: Option<u64>,
    ramdisk: &'static [u8],
    framebuffer: Option<&'static FrameBuffer>,
    kernel: u64,
    kernel_length: u64,
    kernel_offset: u64,
}

impl Boot {
    fn read(info: &'static mut BootInfo) -> Boot {
        let ramdisk = match info.ramdisk_addr.into_option() {
            // SAFETY: the bootloader mapped as many bytes there, and nobody writes them.
            Some(at) => unsafe {
                slice::from_raw_parts(at as *const u8, info.ramdisk_len as usize)
            },
            None => &[],
        };
        Boot {
            window: info.physical_memory_offset.into_option().expect("BOOT asks for it"),
            rsdp: info.rsdp_addr.into_option(),
            ramdisk,
            framebuffer: info.framebuffer.as_ref(),
            kernel: info.kernel_addr,
            kernel_length: info.kernel_len,
            kernel_offset: info.kernel_image_offset,
            map: &info.memory_regions,
        }
    }
}

/// Makes `fn main()` goroutine 1 of a bootable kernel. Once, in a `no_std`, `no_main` binary.
///
/// `entry!(machine: main)` is for tests of the machine: `fn main() -> !` runs on CPU 0 with the
/// machine up, interrupts on, and no executive.
#[macro_export]
macro_rules! entry {
    (machine: $main:path) => {
        $crate::entry!(@ |info| {
            $crate::start::bring_up(info);
            $crate::x86_64::instructions::interrupts::enable();
            $main()
        });
    };
    ($main:path) => {
        $crate::entry!(@ |info| $crate::start::start(info, $main));
    };
    (@ |$info:ident| $body:expr) => {
        const _: () = {
            extern "C" fn start($info: &'static mut $crate::bootloader_api::BootInfo) -> ! {
                $body
            }
            /// The bootloader jumps here with interrupts as the firmware left them, which may have
            /// left SSE off. Its config is used, or the linker would leave it out.
            #[unsafe(naked)]
            #[unsafe(export_name = "_start")]
            extern "C" fn first() -> ! {
                ::core::arch::naked_asm!(
                    "cli",
                    "mov rax, cr0",
                    "and eax, ~0xc", // EM TS
                    "or eax, 0x22", // NE MP
                    "mov cr0, rax",
                    "mov rax, cr4",
                    "or eax, {cr4}",
                    "mov cr4, rax",
                    "lea rax, [rip + {config}]",
                    "jmp {start}", // rdi = its argument
                    cr4 = const $crate::xsave::CR4,
                    config = sym $crate::start::CONFIG,
                    start = sym start,
                )
            }
        };
    };
}

/// [`BOOT`], where the bootloader looks for it.
#[doc(hidden)]
#[unsafe(link_section = ".bootloader-config")]
pub static CONFIG: [u8; BootloaderConfig::SERIALIZED_LEN] = BOOT.serialize();

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    if executive::recover::is_out_of_memory(info.location()) {
        crate::given_up::out_of_memory();
    }
    executive::crash::panicked(info)
}
