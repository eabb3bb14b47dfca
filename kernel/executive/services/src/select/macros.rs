//! The macro `select!`. It reads arm by arm, gives each arm its place on the stack, and then calls
//! [`choose`](super::macro_support::choose) or [`poll`](super::macro_support::poll). Nothing is
//! allocated.

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
/// | `default => ..` | no other arm is | |
///
/// `recv` takes a [`Receiver`](crate::chan::Receiver), or anything that [is like
/// one](crate::select::RecvFrom), and `send` a [`Sender`](crate::chan::Sender) or [what is like
/// one](crate::select::SendTo). An `Option` of one is an arm that can be switched off.
///
/// All expressions are evaluated once, before the select, in the order of the arms. In `send(tx,
/// x)`, a variable `x` is moved only if its arm is taken: otherwise you keep it. The value of any
/// other expression is dropped if another arm is taken. If the channel is closed the error gives
/// the value back. The results of all arms have one type, which is the type of the `select!`;
/// `break`, `return` and `?` work in them. `select! {}` parks for ever. Panics if another goroutine
/// waits on an arm's interrupt line.
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
    ($($arms:tt)+) => { $crate::__select!(@read chosen [] [] $($arms)+) };
}

/// The steps of [`select!`](crate::select!): `@read`, `@body` and `@place`.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // Reads one arm after the other: `@read chosen [arms read] [default] rest..`. An arm that was
    // read is `{kind (arguments) (pattern) (body)}`.

    // All arms are read: give them their places.
    (@read $c:ident [$($arm:tt)*] [$($default:tt)*]) => {
        $crate::__select!(@place $c (0) [] [$($default)*] $($arm)*)
    };
    (@read $c:ident [$($arm:tt)*] $default:tt recv($rx:expr $(,)?) -> $v:pat => $($rest:tt)+) => {
        $crate::__select!(@body $c [$($arm)*] $default {recv ($rx) ($v)} $($rest)+)
    };
    (
        @read $c:ident [$($arm:tt)*] $default:tt
        send($tx:expr, $x:ident $(,)?) -> $r:pat => $($rest:tt)+
    ) => {
        $crate::__select!(@body $c [$($arm)*] $default {send_variable ($tx, $x) ($r)} $($rest)+)
    };
    (
        @read $c:ident [$($arm:tt)*] $default:tt
        send($tx:expr, $x:expr $(,)?) -> $r:pat => $($rest:tt)+
    ) => {
        $crate::__select!(@body $c [$($arm)*] $default {send ($tx, $x) ($r)} $($rest)+)
    };
    (@read $c:ident [$($arm:tt)*] $default:tt after($d:expr $(,)?) => $($rest:tt)+) => {
        $crate::__select!(@body $c [$($arm)*] $default {after ($d) (_)} $($rest)+)
    };
    (@read $c:ident [$($arm:tt)*] $default:tt irq($line:expr $(,)?) => $($rest:tt)+) => {
        $crate::__select!(@body $c [$($arm)*] $default {irq ($line) (_)} $($rest)+)
    };
    (@read $c:ident [$($arm:tt)*] $default:tt done($token:expr $(,)?) => $($rest:tt)+) => {
        $crate::__select!(@body $c [$($arm)*] $default {recv ($token) (_)} $($rest)+)
    };
    (@read $c:ident [$($arm:tt)*] [] default => $($rest:tt)+) => {
        $crate::__select!(@body $c [$($arm)*] [] {default} $($rest)+)
    };
    (@read $c:ident [$($arm:tt)*] [$($default:tt)+] default => $($rest:tt)+) => {
        compile_error!("select!: more than one default")
    };
    (@read $($bad:tt)*) => {
        compile_error!(
            "select!: an arm is `recv(rx) -> v => ..`, `send(tx, x) -> r => ..`, \
             `after(d) => ..`, `irq(line) => ..`, `done(token) => ..` or `default => ..`"
        )
    };

    // Reads the body of an arm: a block, or an expression and a comma, as in `match`.

    (@body $c:ident [$($arm:tt)*] [] {default} $body:block, $($rest:tt)*) => {
        $crate::__select!(@read $c [$($arm)*] [$body] $($rest)*)
    };
    (@body $c:ident [$($arm:tt)*] [] {default} $body:block $($rest:tt)*) => {
        $crate::__select!(@read $c [$($arm)*] [$body] $($rest)*)
    };
    (@body $c:ident [$($arm:tt)*] [] {default} $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@read $c [$($arm)*] [$body] $($($rest)*)?)
    };
    (@body $c:ident [$($arm:tt)*] $default:tt {$($head:tt)*} $body:block, $($rest:tt)*) => {
        $crate::__select!(@read $c [$($arm)* {$($head)* ($body)}] $default $($rest)*)
    };
    (@body $c:ident [$($arm:tt)*] $default:tt {$($head:tt)*} $body:block $($rest:tt)*) => {
        $crate::__select!(@read $c [$($arm)* {$($head)* ($body)}] $default $($rest)*)
    };
    (@body $c:ident [$($arm:tt)*] $default:tt {$($head:tt)*} $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@read $c [$($arm)* {$($head)* ($body)}] $default $($($rest)*)?)
    };

    // Gives each arm its place: `@place chosen (number) [placed] [default] arms..`. A placed arm is
    // `{(number) (case) (finish) (pattern) (body)}`.

    (
        @place $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {recv ($rx:expr) $v:tt $body:tt} $($more:tt)*
    ) => {{
        let from = &$rx;
        let arm = $crate::select::macro_support::RecvSlot::new(from);
        $crate::__select!(@place $c ($n + 1)
            [$($placed)* {
                ($n) (arm.case()) (arm.take()) $v $body
            }]
            $default $($more)*
        )
    }};
    (
        @place $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {send ($tx:expr, $x:expr) $r:tt $body:tt} $($more:tt)*
    ) => {{
        let to = &$tx;
        let value = $x;
        $crate::__select!(@place $c ($n) [$($placed)*] $default
            {send_variable (to, value) $r $body} $($more)*
        )
    }};
    (
        @place $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {send_variable ($tx:expr, $x:ident) $r:tt $body:tt} $($more:tt)*
    ) => {{
        let to = &$tx;
        // In a statement of its own, so that a constant becomes a variable that lives long enough.
        let value = &$x;
        let arm = $crate::select::macro_support::SendSlot::new(to, value);
        $crate::__select!(@place $c ($n + 1)
            [$($placed)* {
                ($n) ($crate::__select_send!(arm)) (arm.finish($x)) $r $body
            }]
            $default $($more)*
        )
    }};
    (
        @place $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {after ($d:expr) $p:tt $body:tt} $($more:tt)*
    ) => {{
        let limit = $d;
        $crate::__select!(@place $c ($n + 1)
            [$($placed)* {
                ($n) ($crate::select::macro_support::Case::after(limit)) (()) $p $body
            }]
            $default $($more)*
        )
    }};
    (
        @place $c:ident ($n:expr) [$($placed:tt)*] $default:tt
        {irq ($line:expr) $p:tt $body:tt} $($more:tt)*
    ) => {{
        let line = &$line;
        $crate::__select!(@place $c ($n + 1)
            [$($placed)* {
                ($n) ($crate::select::macro_support::Case::irq(line)) (()) $p $body
            }]
            $default $($more)*
        )
    }};
    // All arms are placed. Without a default some arm is taken.
    (
        @place $c:ident $n:tt
        [$({($i:expr) ($case:expr) ($($finish:tt)*) ($v:pat) ($body:expr)})*] []
    ) => {
        match $crate::select::macro_support::choose([$($case),*]) {
            $($c if $c == $i => { let $v = { $($finish)* }; $body })*
            _ => unreachable!(),
        }
    };
    (
        @place $c:ident $n:tt [$({($i:expr) ($case:expr) ($($finish:tt)*) ($v:pat) ($body:expr)})*]
        [$default:expr]
    ) => {
        match $crate::select::macro_support::poll([$($case),*]) {
            $(Some($c) if $c == $i => { let $v = { $($finish)* }; $body })*
            _ => $default,
        }
    };
}
