//! Events of goroutines and CPUs, for a recorder: two functions, named in g.rs, that whoever links
//! the core defines. Those of the crate `executive` are a flight recorder.

macro_rules! events {
    ($($name:ident $word:literal $doc:literal,)*) => {
        /// What can happen to a goroutine, or to a CPU.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Event { $(#[doc = $doc] $name,)* }

        impl Event {
            /// All, in the order of their numbers, and as traces print them.
            pub const ALL: &[(Self, &str)] = &[$((Event::$name, $word),)*];
        }
    };
}
events! {
    Run "run" "The goroutine runs from here on. Told if the recorder has asked for it.",
    Go "go" "Often: it was created.",
    Ready "ready" "Often: it was made runnable.",
    Park "park" "Often: it parks.",
    Yield "yield" "It lets others run. Not told: another runs, and nothing else was said.",
    Preempt "preempt" "The CPU was taken from it.",
    End "end" "Often: it ended.",
    Steal "steal" "It was stolen from another CPU.",
    Halt "halt" "The CPU sleeps.",
    Wake "wake" "The CPU wakes. Number: 1 if another has woken it.",
    Tick "tick" "A timer or another CPU has interrupted the CPU.",
    Timers "timers" "So many timers fired.",
    Interrupt "interrupt" "The handler of an interrupt has woken it.",
    Begin "begin" "A region of the user's begins.",
    Finish "finish" "It is over.",
    Message "message" "What the user says, or a driver.",
}
