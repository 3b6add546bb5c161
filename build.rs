//! Words for the linker, so that the program which a user builds for this machine starts sooner. Where one of them cannot be had, the program is built without it.

#![expect(clippy::disallowed_methods, reason = "this builds the program, and is no part of it")]

use std::env;
use std::path::PathBuf;
use std::process::Command;

const LAYOUT: &str = "src/start.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={LAYOUT}");
    println!("cargo::rerun-if-env-changed=PATH");
    if is_release_for_this_machine() {
        link_unwinder();
        lay_out();
    }
}

/// Whether this is a release build for Linux with the glibc of this machine, linked dynamically: the other builds have no loader that would take time.
fn is_release_for_this_machine() -> bool {
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && env::var("HOST") == env::var("TARGET") && !is_static
}

/// The C compiler that is called to link the program.
fn compiler() -> Command {
    Command::new(env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into()))
}

/// The unwinder, which the standard library refers to, becomes a part of the program: as a shared library (`libgcc_s`) it would be found, mapped, relocated and initialized at each start,
/// an eighth of it. Nothing unwinds here, a panic aborts; what is left shows a backtrace.
fn link_unwinder() {
    let Ok(answer) = compiler().arg("-print-file-name=libgcc_eh.a").output() else { return };
    // A name without a folder is the answer to a name that was not found.
    let archive = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    if let Some(folder) = archive.parent().filter(|folder| folder.is_absolute() && archive.is_file()) {
        println!("cargo::rustc-link-search=native={}", folder.display());
        // Before the `-lgcc_s` of the standard library, which is then not needed.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// What usual commands run is put side by side: a function that runs brings the 64 KiB around it into memory, and where the compiler leaves those of one command, they lie all over the
/// program. `benches/layout.py` finds out which they are.
fn lay_out() {
    let (Some(root), Some(folder)) = (env::var_os("CARGO_MANIFEST_DIR"), env::var_os("OUT_DIR")) else { return };
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // Whoever chose a linker may have chosen one that takes no such list.
    if ["fuse-ld", "linker"].iter().any(|chosen| flags.contains(chosen)) {
        return;
    }
    let layout = PathBuf::from(root).join(LAYOUT);
    let tried = PathBuf::from(folder).join("tried.so");
    if compiler()
        .args(["-shared", "-fPIC", "-x", "c", "/dev/null", "-x", "none", "-T"])
        .arg(&layout)
        .arg("-o")
        .arg(&tried)
        .output()
        .is_ok_and(|ran| ran.status.success())
    {
        println!("cargo::rustc-link-arg-bins=-T\ncargo::rustc-link-arg-bins={}", layout.display());
    }
}
