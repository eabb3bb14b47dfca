//! The macro `select!`. It reads arm by arm, gives each arm its place on the stack, and then calls
//! [`choose`](super::choose) or [`poll`](super::poll). Nothing is allocated.

/// Waits until one of several operations can be done, and does it: Go's `select`. If several can be
/// done, each is equally likely. Parks unless there is a `default`.
///
/// | arm | ready when | gives |
/// | --- | --- | --- |
/// | `recv(rx) -> v => ..` | a value, or closed | `Option<T>`: `None` when closed and drained |
/// | `send(tx, x) -> r => ..` | a receiver, room, or closed | `Result<(), SendError<T>>` |
/// | `after(d) => ..` | [`Duration`](core::time::Duration) `d` after the select began | |
/// | `irq(line) => ..` | an interrupt came on this [`Irq`](crate::irq::Irq) | |
/// | `done(token) => ..` | this [`Token`](crate::cancel::Token) is cancelled | |
/// | `default => ..` | nothing else is | |
///
/// `recv` takes a [`Receiver`](crate::chan::Receiver), or anything that [is like
/// one](crate::select::RecvFrom), and `send` a [`Sender`](crate::chan::Sender) or [what is like
/// one](crate::select::SendTo). An `Option` of one is an arm that can be switched off.
///
/// All expressions are evaluated once, before the select, in the order of the arms. In `send(tx,
/// x)`, a variable `x` is moved only if its arm is taken: otherwise you keep it. The value of any
/// other expression is dropped if another arm is taken. If the channel is closed the error gives
/// the value back. The results of all arms have one type, which is the type of the `select!`;
/// `break`, `return` and `?` work in them. `select! {}` parks for ever.
///
/// ```
/// # hosted::run(|| {
/// use executive::{chan, go, select};
/// use core::time::Duration;
/// let (tx, rx) = chan::<u32>(0);
/// let (quit, quits) = chan::<()>(0);
/// go(move || {
///     let mut next = 0;
///     loop {
///         select! {
///             send(tx, next) -> r => if r.is_ok() { next += 1 } else { break },
///             recv(quits) -> _ => break,
///         }
///     }
/// });
/// let first = select! {
///     recv(rx) -> v => v.unwrap(),
///     after(Duration::from_secs(60)) => panic!("nobody sends"),
/// };
/// assert_eq!(first, 0);
/// drop(quit);
/// # });
/// ```
#[doc(alias = "selectgo")]
#[macro_export]
macro_rules! select {
    () => { $crate::select::forever() };
    ($($arms:tt)+) => { $crate::__select_read!(chosen [] [] $($arms)+) };
}

// Reads one arm after the other: `chosen [arms read] [default] rest..`. An arm that was read is
// `{kind (arguments) (pattern) (body)}`.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_read {
    // All arms are read: give them their places.
    ($c:ident [$($arm:tt)*] [$($default:tt)*]) => {
        $crate::__select_place!($c (0) [] [$($default)*] $($arm)*)
    };
    ($c:ident [$($arm:tt)*] $default:tt recv($rx:expr $(,)?) -> $v:pat => $($rest:tt)+) => {
        $crate::__select_body!($c [$($arm)*] $default {recv ($rx) ($v)} $($rest)+)
    };
    (
        $c:ident [$($arm:tt)*] $default:tt
        send($tx:expr, $x:ident $(,)?) -> $r:pat => $($rest:tt)+
    ) => {
        $crate::__select_body!($c [$($arm)*] $default {send_variable ($tx, $x) ($r)} $($rest)+)
    };
    (
        $c:ident [$($arm:tt)*] $default:tt
        send($tx:expr, $x:expr $(,)?) -> $r:pat => $($rest:tt)+
    ) => {
        $crate::__select_body!($c [$($arm)*] $default {send ($tx, $x) ($r)} $($rest)+)
    };
    ($c:ident [$($arm:tt)*] $default:tt after($d:expr $(,)?) => $($rest:tt)+) => {
        $crate::__select_body!($c [$($arm)*] $default {after ($d) (_)} $($rest)+)
    };
    ($c:ident [$($arm:tt)*] $default:tt irq($line:expr $(,)?) => $($rest:tt)+) => {
        $crate::__select_body!($c [$($arm)*] $default {irq ($line) (_)} $($rest)+)
    };
    ($c:ident [$($arm:tt)*] $default:tt done($token:expr $(,)?) => $($rest:tt)+) => {
        $crate::__select_body!($c [$($arm)*] $default {recv ($token) (_)} $($rest)+)
    };
    ($c:ident [$($arm:tt)*] [] default => $($rest:tt)+) => {
        $crate::__select_body!($c [$($arm)*] [] {default} $($rest)+)
    };
    ($c:ident [$($arm:tt)*] [$($default:tt)+] default => $($rest:tt)+) => {
        compile_error!("select!: more than one default")
    };
    ($($bad:tt)*) => {
        compile_error!(
            "select!: an arm is `recv(rx) -> v => ..`, `send(tx, x) -> r => ..`, \
             `after(d) => ..`, `irq(line) => ..`, `done(token) => ..` or `default => ..`"
        )
    };
}

// Reads the body of an arm: a block, or an expression and a comma, as in `match`.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_body {
    ($c:ident [$($arm:tt)*] [] {default} $body:block, $($rest:tt)*) => {
        $crate::__select_read!($c [$($arm)*] [$body] $($rest)*)
    };
    ($c:ident [$($arm:tt)*] [] {default} $body:block $($rest:tt)*) => {
        $crate::__select_read!($c [$($arm)*] [$body] $($rest)*)
    };
    ($c:ident [$($arm:tt)*] [] {default} $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select_read!($c [$($arm)*] [$body] $($($rest)*)?)
    };
    ($c:ident [$($arm:tt)*] $default:tt {$($head:tt)*} $body:block, $($rest:tt)*) => {
        $crate::__select_read!($c [$($arm)* {$($head)* ($body)}] $default $($rest)*)
    };
    ($c:ident [$($arm:tt)*] $default:tt {$($head:tt)*} $body:block $($rest:tt)*) => {
        $crate::__select_read!($c [$($arm)* {$($head)* ($body)}] $default $($rest)*)
    };
    ($c:ident [$($arm:tt)*] $default:tt {$($head:tt)*} $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select_read!($c [$($arm)* {$($head)* ($body)}] $default $($($rest)*)?)
    };
}

// Gives each arm its place: `chosen (number) [placed] [default] arms..`. A placed arm is
// `{(number) (case) (finish) (pattern) (body)}`.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_place {
    (
        $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {recv ($rx:expr) $v:tt $body:tt} $($more:tt)*
    ) => {{
        let from = &$rx;
        let arm = $crate::select::RecvSlot::new(from);
        // SAFETY (of `finish`): `choose` has chosen it.
        $crate::__select_place!(
            $c ($n + 1)
            [$($placed)* {
                ($n) (arm.case())
                (#[allow(unsafe_code)] unsafe { arm.finish($c.success) })
                $v $body
            }]
            $default $($more)*
        )
    }};
    (
        $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {send ($tx:expr, $x:expr) $r:tt $body:tt} $($more:tt)*
    ) => {{
        let to = &$tx;
        let value = $x;
        $crate::__select_place!(
            $c ($n) [$($placed)*] $default
            {send_variable (to, value) $r $body} $($more)*
        )
    }};
    (
        $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {send_variable ($tx:expr, $x:ident) $r:tt $body:tt} $($more:tt)*
    ) => {{
        let to = &$tx;
        // In a statement of its own, so that a constant becomes a variable that lives long enough.
        let value = &$x;
        let arm = $crate::select::SendSlot::new(to, value);
        // SAFETY (of `into_case` and `finish`): the variable stays, and is forgotten in the branch
        // in which `choose` has chosen it.
        $crate::__select_place!(
            $c ($n + 1)
            [$($placed)* {
                ($n) (#[allow(unsafe_code)] unsafe { arm.into_case() })
                (#[allow(unsafe_code)] unsafe {
                    let value = ::core::mem::ManuallyDrop::new($x);
                    $crate::select::SendSlot::finish($c.success, value)
                })
                $r $body
            }]
            $default $($more)*
        )
    }};
    (
        $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {after ($d:expr) $p:tt $body:tt} $($more:tt)*
    ) => {{
        let limit = $d;
        $crate::__select_place!(
            $c ($n + 1) [$($placed)* {($n) ($crate::select::Case::after(limit)) (()) $p $body}]
            $default $($more)*
        )
    }};
    (
        $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {irq ($line:expr) $p:tt $body:tt} $($more:tt)*
    ) => {{
        let line = &$line;
        $crate::__select_place!(
            $c ($n + 1) [$($placed)* {($n) ($crate::select::Case::irq(line)) (()) $p $body}]
            $default $($more)*
        )
    }};
    // All arms are placed. Without a default some arm is taken.
    ($c:ident $n:tt [$({($i:expr) ($case:expr) ($($finish:tt)*) ($v:pat) ($body:expr)})*] []) => {
        match $crate::select::choose([$($case),*]) {
            $($c if $c.index == $i => { let $v = { $($finish)* }; $body })*
            _ => unreachable!(),
        }
    };
    (
        $c:ident $n:tt [$({($i:expr) ($case:expr) ($($finish:tt)*) ($v:pat) ($body:expr)})*]
        [$default:expr]
    ) => {
        match $crate::select::poll([$($case),*]) {
            $(Some($c) if $c.index == $i => { let $v = { $($finish)* }; $body })*
            _ => $default,
        }
    };
}
