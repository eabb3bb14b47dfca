//! The file systems, by their names.

use crate::error::{Error, ErrorKind};
use crate::path;
use crate::system::FileSystem;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use executive::sync::RwLock;

static MOUNTS: RwLock<Vec<(String, Arc<dyn FileSystem>)>> = RwLock::new(Vec::new());

/// Makes a file system's root `/name`, for good.
///
/// # Errors
/// [`AlreadyExists`](ErrorKind::AlreadyExists), or a name that cannot be one in a path.
pub fn mount(name: &str, system: impl FileSystem + 'static) -> Result<(), Error> {
    let wrong = |kind| Error { op: "mount", path: name.into(), kind };
    if path::names(name).map_err(wrong)? != [name] {
        return Err(wrong(ErrorKind::InvalidFilename));
    }
    let mut mounts = MOUNTS.write();
    if mounts.iter().any(|(other, _)| other == name) {
        return Err(wrong(ErrorKind::AlreadyExists));
    }
    mounts.push((name.into(), Arc::new(system)));
    Ok(())
}

/// The names of all file systems, in the order in which they were mounted.
pub fn mounts() -> Vec<String> {
    MOUNTS.read().iter().map(|(name, _)| name.clone()).collect()
}

/// The file system of that name.
pub fn find(name: &str) -> Result<Arc<dyn FileSystem>, ErrorKind> {
    let mounts = MOUNTS.read();
    let found = mounts.iter().find(|(other, _)| other == name);
    found.map(|(_, system)| system.clone()).ok_or(ErrorKind::NotFound)
}
