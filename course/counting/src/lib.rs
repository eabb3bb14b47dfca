//! What a lab's operations cost in instructions: `course/grade` starts this as a machine of its
//! own.
//!
//! QEMU counts (`-icount shift=0`): the machine's time stamp counter is then the number of
//! instructions executed. There is one CPU, and nothing that interrupts it, so the figures are
//! exact, and the same on every host. The scheduler is the executive, on a
//! [`Machine`](executive::machine::Machine) of the six hooks that it cannot do without.
//!
//! **Rule:** an operation is done N times and 3 N times, and the difference is divided. So what
//! both have in common drops out; the loop around the operation does not.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
pub use machine::tell;

#[cfg(not(target_os = "none"))]
pub use hosted::run;
/// Does each of these, and counts nothing.
#[cfg(not(target_os = "none"))]
pub fn tell(rows: &[Row]) {
    const TIMES: u32 = 1000;
    for (name, run) in rows {
        run(TIMES);
        println!("{name}: done {TIMES} times");
    }
}

/// A row of the table: the operation, and what does it so many times. Goroutine 1 calls it.
pub type Row = (&'static str, fn(u32));

/// The `main` of a lab that counts: `counting::table!(&[("push and pop", push_and_pop)]);`. On a
/// host nothing counts instructions: there it only does them, as a process.
#[macro_export]
macro_rules! table {
    ($rows:expr) => {
        const ROWS: &[$crate::Row] = $rows;

        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "C" fn course_table() {
            $crate::tell(ROWS);
        }
        #[cfg(not(target_os = "none"))]
        fn main() {
            $crate::run(|| $crate::tell(ROWS));
        }
    };
}
