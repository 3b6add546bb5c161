//! A7, A8, A10: modes, links, and things that are no profile file at all.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use super::bench::{Bench, DATABRICKS, Outcome, finish, has, is_root, mode_of, read, skip, write_private};
use crate::workspace::Workspace;

const BEFORE: &str = "[DEFAULT]\nhost = https://a.example\ntoken = dapi-old\n";
const CONFIGURE: &[&str] = &["configure", "--host", "https://b.example", "--profile", "b"];

/// Commands that read the profile file first of all.
const READING: &[&[&str]] = &[
    &["auth", "env"],
    &["auth", "describe", "--offline"],
    &["auth", "profiles", "--skip-validate"],
    &["auth", "switch", "--profile", "b"],
    &["tokens", "list"],
    &["clusters", "get", "x"],
];

fn configure(bench: &Bench) -> Outcome {
    bench.run_with_stdin(CONFIGURE, "dapi-new\n")
}

#[test]
fn a7_new_files_are_private_under_any_umask_from_their_first_call() {
    let traced = has("strace", &["-qq", "true"]);
    for umask in ["000", "022", "077"] {
        for before in [None, Some(BEFORE)] {
            let bench = Bench::new();
            if let Some(before) = before {
                bench.write_config(before);
            }
            let trace = bench.around().join("trace");
            let mut command = bench.program("sh");
            let strace =
                if traced { format!("strace -f -qq -o {} -e trace=openat,open,creat,mkdir,mkdirat,chmod,fchmod ", trace.display()) } else { String::new() };
            command.args(["-c", &format!("umask {umask}; exec {strace}\"$0\" \"$@\" --debug --log-file log")]).arg(DATABRICKS).args(CONFIGURE);
            finish(&mut command, Some(b"dapi-new\n")).succeeded();
            for (path, _) in bench.files() {
                assert_eq!(mode_of(&path), 0o600, "{} under umask {umask}", path.display());
            }
            let created: Vec<String> =
                std::fs::read_to_string(&trace).unwrap_or_default().lines().filter(|line| line.contains("O_CREAT")).map(str::to_owned).collect();
            assert!(!traced || created.len() == 2, "the log and the temporary file: {created:?}");
            for line in created {
                assert!(line.contains(", 0600)"), "{line}");
                assert!(line.contains("O_EXCL") || line.contains("O_APPEND"), "{line}");
            }
        }
    }
}

#[test]
fn a7_a_file_that_others_can_read_is_tightened_and_said_so_and_a_stricter_one_stays() {
    for (mode, after, told) in [(0o644, 0o600, true), (0o660, 0o600, true), (0o600, 0o600, false), (0o400, 0o400, false)] {
        let bench = Bench::new();
        bench.write_config(BEFORE);
        std::fs::set_permissions(bench.config(), std::fs::Permissions::from_mode(mode)).unwrap();
        let outcome = configure(&bench).succeeded();
        assert_eq!(mode_of(&bench.config()), after, "from {mode:o}");
        assert_eq!(outcome.stderr().contains(&format!("{mode:04o}")), told, "{outcome}");
    }
    let bench = Bench::new();
    std::fs::set_permissions(bench.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    configure(&bench).succeeded();
    assert_eq!((mode_of(bench.home()), mode_of(&bench.config())), (0o755, 0o600), "the home is not ours to change");
}

#[test]
fn a8_links_stay_and_their_target_is_replaced_in_its_own_folder() {
    // On another file system, where there is one.
    let elsewhere = tempfile::Builder::new().prefix("faults-").tempdir_in("/dev/shm");
    let elsewhere = elsewhere.as_ref().map_or(Path::new("/nowhere"), |folder| folder.path()).join("cfg");
    for (links, target, exists) in [
        (&[(".databrickscfg", "dots/cfg")][..], "dots/cfg", true),
        (&[(".databrickscfg", "dots/one"), ("dots/one", "../two"), ("two", "dots/cfg")], "dots/cfg", true),
        (&[(".databrickscfg", "dots/cfg")], "dots/cfg", false),
        (&[(".databrickscfg", "dots/one"), ("dots/one", "../cfg")], "cfg", false),
        (&[(".databrickscfg", elsewhere.to_str().unwrap())], elsewhere.to_str().unwrap(), true),
    ] {
        if target.starts_with('/') && !elsewhere.parent().unwrap().is_dir() {
            skip("there is no /dev/shm");
            continue;
        }
        let bench = Bench::new();
        std::fs::create_dir(bench.home().join("dots")).unwrap();
        for (link, to) in links {
            symlink(to, bench.home().join(link)).unwrap();
        }
        let target = bench.home().join(target);
        let mut inode = 0;
        if exists {
            write_private(&target, BEFORE.as_bytes());
            inode = std::fs::metadata(&target).unwrap().ino();
        }
        configure(&bench).succeeded();
        for (link, to) in links {
            assert_eq!(std::fs::read_link(bench.home().join(link)).unwrap(), Path::new(to), "{links:?}");
        }
        let text = String::from_utf8(read(&target).unwrap()).unwrap();
        assert!(text.contains("dapi-new") && text.contains("dapi-old") == exists, "{links:?}: {text}");
        assert_eq!(mode_of(&target), 0o600);
        assert_ne!(std::fs::metadata(&target).unwrap().ino(), inode, "it was written in place, where a crash shows half of it");
        let beside: Vec<_> = std::fs::read_dir(target.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!beside.iter().any(|name| name.to_string_lossy().contains("tmp")), "{beside:?}");
        bench.run(&["auth", "env", "--profile", "b"]).succeeded();
    }
}

#[test]
fn a8_a_link_to_itself_and_one_into_nothing_are_errors() {
    let bench = Bench::new();
    symlink(".databrickscfg", bench.config()).unwrap();
    configure(&bench).failed_with(&[".databrickscfg"]);
    assert!(std::fs::symlink_metadata(bench.config()).unwrap().is_symlink());
    let bench = Bench::new();
    symlink("no/such/folder/cfg", bench.config()).unwrap();
    configure(&bench).failed_with(&["no/such/folder"]);
    assert_eq!(bench.files().len(), 0);
}

/// Every command refuses what is there: soon, in little memory, with its name.
fn is_refused(bench: &Bench, reason: &str) {
    for arguments in READING.iter().chain([&CONFIGURE]) {
        let outcome = bench.run_with_stdin(arguments, "dapi-new\n").failed_with(&[&bench.config().to_string_lossy(), reason]);
        assert!(outcome.took < Duration::from_secs(10), "{arguments:?}: {outcome}");
    }
}

#[test]
fn a10_what_is_no_profile_file_is_refused_at_once_in_little_memory() {
    let bench = || Bench::new().megabytes(50);
    let pipe = bench();
    rustix::fs::mkfifoat(rustix::fs::CWD, pipe.config(), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    is_refused(&pipe, "not a regular file");

    let folder = bench();
    std::fs::create_dir(folder.config()).unwrap();
    is_refused(&folder, "folder");

    let socket = bench();
    let _listener = UnixListener::bind(socket.config()).unwrap();
    is_refused(&socket, "");

    let device = bench();
    symlink("/dev/zero", device.config()).unwrap();
    is_refused(&device, "");

    let huge = bench();
    std::fs::File::create(huge.config()).unwrap().set_len(1 << 30).unwrap();
    is_refused(&huge, "larger than");

    let binary = bench();
    binary.write_config(std::fs::read("/bin/sh").unwrap());
    is_refused(&binary, "not a text file");
}

#[test]
fn a10_a_file_of_somebody_else_is_refused_with_the_reason() {
    if is_root() {
        if !has("setpriv", &["--reuid", "65534", "--regid", "65534", "--clear-groups", "true"]) {
            return;
        }
        let bench = Bench::new();
        bench.write_config(BEFORE);
        std::fs::set_permissions(bench.around(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(bench.home(), std::fs::Permissions::from_mode(0o777)).unwrap();
        // Where the build lies may be closed to others.
        let program = bench.around().join("databricks");
        crate::harness::copy_program(&program);
        for arguments in READING.iter().chain([&CONFIGURE]) {
            let mut command = bench.program("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program).args(*arguments);
            finish(&mut command, Some(b"dapi-new\n")).failed_with(&[".databrickscfg", "Permission denied"]);
        }
        assert_eq!(bench.read_config().unwrap(), BEFORE.as_bytes());
        // Where everybody can write, a file of somebody else may have been planted; not even root believes it, or hands a secret over in it.
        std::os::unix::fs::chown(bench.config(), Some(65534), Some(65534)).unwrap();
        for arguments in READING.iter().chain([&CONFIGURE]) {
            finish(bench.program(DATABRICKS).args(*arguments), Some(b"dapi-new\n")).failed_with(&[".databrickscfg", "belongs to another user"]);
        }
        assert_eq!(bench.read_config().unwrap(), BEFORE.as_bytes());
        // Root who edits a user's file leaves it the user's.
        std::fs::set_permissions(bench.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
        configure(&bench).succeeded();
        let after = std::fs::metadata(bench.config()).unwrap();
        assert_eq!((after.uid(), after.gid(), after.mode() & 0o777), (65534, 65534, 0o600));
    } else {
        let bench = Bench::new();
        bench.write_config(BEFORE);
        std::fs::set_permissions(bench.config(), std::fs::Permissions::from_mode(0o000)).unwrap();
        is_refused(&bench, "Permission denied");
    }
}

#[test]
fn a10_json_from_odd_files_is_refused_at_once_in_little_memory() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "").megabytes(60);
    rustix::fs::mkfifoat(rustix::fs::CWD, bench.home().join("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    std::fs::File::create(bench.home().join("huge")).unwrap().set_len(1 << 30).unwrap();
    for file in ["@pipe", "@.", "@/dev/zero", "@huge", "@/nowhere", "@"] {
        bench.run(&["tokens", "create", "--json", file]).failed_with(&["--json"]);
    }
    let zeroes = std::process::Stdio::from(std::fs::File::open("/dev/zero").unwrap());
    finish(bench.command(&["tokens", "create", "--json", "-"]).stdin(zeroes), None).failed_with(&[]);
    let zeroes = std::process::Stdio::from(std::fs::File::open("/dev/zero").unwrap());
    finish(bench.command(CONFIGURE).stdin(zeroes), None).failed_with(&["token"]);
    assert_eq!(workspace.requests().len(), 0);
}
