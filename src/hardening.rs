//! What the process does for its secrets before it has any: no core file, no look into its memory by other processes of the same user.

/// Turns core files and attaching off. Where the system refuses, the command goes on: this is a second line, not the first.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn apply() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let _refused = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _refused = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn apply() {}
