//! What the process does for itself before it has any secret: no core file, no look into its memory by other processes of the same user, no death by a full quota.

/// Applies all of it. Where the system refuses, the command goes on: this is a second line, not the first.
pub(crate) fn apply() {
    hide_from_other_processes();
    survive_file_size_limit();
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn hide_from_other_processes() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let _refused = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let before = rustix::process::getrlimit(Resource::Core);
    // The highest one stays, so that programs which are started from here can have theirs.
    let _refused = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: before.maximum });
    let _set = CORE_LIMIT.set(before.current);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
static CORE_LIMIT: std::sync::OnceLock<Option<u64>> = std::sync::OnceLock::new();

/// The limit for core files is again what it was, for a program that is about to be started. This process leaves none all the same.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn restore_core_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if let Some(current) = CORE_LIMIT.get() {
        let _refused = setrlimit(Resource::Core, Rlimit { current: *current, ..getrlimit(Resource::Core) });
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn restore_core_limit() {}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn hide_from_other_processes() {}

/// Over `ulimit -f` a write to a file, stdout and stderr included, ends the process by SIGXFSZ unless somebody handles it; handled, it is an error like any other.
#[cfg(unix)]
fn survive_file_size_limit() {
    let handled = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let _ = signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), handled);
}

#[cfg(not(unix))]
fn survive_file_size_limit() {}
