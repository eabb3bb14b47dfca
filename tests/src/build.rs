//! What the tests run: the host tool and the kernels, built once per process by the same script
//! that qemu-run.sh uses. tests/run.sh builds them before and says where they are, in BOOT and
//! KERNEL.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};

/// The host tool, and the kernel or one of its examples.
#[derive(Clone)]
pub struct Built {
    pub boot: PathBuf,
    pub kernel: PathBuf,
}

/// The kernel that [`boots`](crate::boots) boots, for a debugger.
pub fn kernel() -> PathBuf {
    built(None).kernel
}

/// The host tool and that kernel, for a script.
pub fn boot_and_kernel() -> (PathBuf, PathBuf) {
    let built = built(None);
    (built.boot, built.kernel)
}

pub fn built(example: Option<&str>) -> Built {
    static DONE: LazyLock<Mutex<HashMap<String, Built>>> = LazyLock::new(Mutex::default);
    // A test that fails while it builds leaves the map as it was.
    let mut done = DONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.entry(example.unwrap_or_default().into()).or_insert_with(|| build(example)).clone()
}

fn build(example: Option<&str>) -> Built {
    if let (None, Some(boot), Some(kernel)) =
        (example, std::env::var_os("BOOT"), std::env::var_os("KERNEL"))
    {
        return Built { boot: boot.into(), kernel: kernel.into() };
    }
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository");
    let script = r#"set -e; source tests/lib/build.sh; build_boot; build_kernel "$1";
        printf '%s\n%s\n' "$boot" "$kernel""#;
    let done = Command::new("bash")
        .args(["-c", script, "build", example.unwrap_or_default()])
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("bash starts");
    assert!(done.status.success(), "the kernel or the host tool does not build");
    let said = String::from_utf8(done.stdout).expect("paths are UTF-8");
    let mut paths = said.lines().map(PathBuf::from);
    let (boot, kernel) = (paths.next().expect("a path"), paths.next().expect("a path"));
    Built { boot, kernel }
}
