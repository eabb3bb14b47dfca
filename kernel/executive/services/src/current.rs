//! The name and number of the calling goroutine.

use executive_core::g::getg;

/// The calling goroutine: its number and name, for reports of your own.
///
/// ```
/// # hosted::run(|| {
/// assert_eq!(executive::current().to_string(), "1 (main)");
/// # });
/// ```
pub fn current() -> Current {
    let g = getg();
    Current { id: g.id(), name: g.name() }
}

/// A goroutine's number and name. It is displayed as in every report: `7 (name)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Current {
    /// The number. Main's is 1, and none is used twice. 0: the caller was on no goroutine.
    pub id: u64,
    /// The name that [`Builder::name`](executive_core::join::Builder::name) gave it.
    pub name: Option<&'static str>,
}

impl core::fmt::Display for Current {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.id)?;
        self.name.map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// The calling goroutine's number, as in every report; 0: the caller is on no goroutine. Go does
/// not show it to programs.
///
/// ```
/// # hosted::run(|| {
/// assert_ne!(executive::go(executive::goid).join(), executive::goid());
/// # });
/// ```
pub fn goid() -> u64 {
    getg().id()
}

/// The calling goroutine's name.
pub fn name() -> Option<&'static str> {
    getg().name()
}
