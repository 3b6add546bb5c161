//! [`Lock`]: one process at a time refreshes a credential, however many ask for it.
//!
//! The lock is one of the operating system on an open file, so it ends with its holder, also if that is killed. The files stay: one that is deleted and made again could be locked twice.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Result;

use super::file::folder;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::files;
use crate::text;

/// The lock of one credential, held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    /// What the holder before said to those who waited for it, of whom this one is.
    left: Option<String>,
}

/// There is no place for a lock file here, or the file system has no locks: nobody can be kept out, however long one waits. In the chain of the error of [`Lock::acquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockUnavailable;

impl fmt::Display for LockUnavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no lock can be had")
    }
}

impl std::error::Error for LockUnavailable {}

impl Lock {
    /// Takes the lock of the credential `name`, and waits for another process that holds it for as long as `patience` says.
    ///
    /// # Errors
    /// If another process kept it for longer, with that process's id; [`LockUnavailable`] if there cannot be a lock.
    pub(crate) fn acquire(env: &Env, name: &str, patience: Duration) -> Result<Self> {
        let file_name = file_name(name);
        let mut refusals = Vec::new();
        for place in places(env) {
            match place.open(&file_name).and_then(|file| first_try(file).map_err(|error| said(&error))) {
                Ok((file, true)) => return Ok(Self::held(file, None)),
                Ok((file, false)) => {
                    let path = place.folder.join(&file_name);
                    match wait(file, patience) {
                        Some(Ok(mut file)) => {
                            let left = said_in(&mut file);
                            return Ok(Self::held(file, left));
                        }
                        Some(Err(error)) => refusals.push(format!("{}: {}", path.display(), said(&error))),
                        None => return Err(busy(name, &path, patience)),
                    }
                }
                Err(reason) => refusals.push(format!("{}: {reason}", place.folder.display())),
            }
        }
        if refusals.is_empty() {
            refusals.push(format!("{} is not set", env::HOME));
        }
        let failure = Failure::new(format!("the refresh of {} cannot be kept to one process ({})", text::quoted(name), refusals.join("; ")))
            .hint(format!("Give it a folder that can be written: export {}=<folder>", env::TOKEN_CACHE_DIR));
        Err(anyhow::Error::new(failure).context(LockUnavailable))
    }

    fn held(file: File, left: Option<String>) -> Self {
        let lock = Self { file, left };
        lock.write("");
        lock
    }

    /// What the holder before left for those who waited while it held the lock.
    pub(crate) fn left(&self) -> Option<&str> {
        self.left.as_deref()
    }

    /// Leaves word for those who wait: no secrets.
    pub(crate) fn leave(&self, word: &str) {
        self.write(word);
    }

    /// For whoever waits in vain: a name to look for. The lock holds without it.
    fn write(&self, word: &str) {
        let mut file = &self.file;
        let _unwritten = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}\n{word}", std::process::id()));
    }
}

/// What stands below the first line of a lock file, which is the id of its holder.
fn said_in(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.take(LONGEST_WORD).read_to_string(&mut text)).ok()?;
    text.split_once('\n').map(|(_, word)| word.to_owned()).filter(|word| !word.is_empty())
}

/// More than this nobody leaves.
const LONGEST_WORD: u64 = 16 << 10;

/// Names may be anything, and may be secret to others who can list the folder.
fn file_name(name: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    let hexadecimal: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{hexadecimal}.lock")
}

/// A folder that may hold lock files.
struct Place {
    folder: PathBuf,
    /// Whether it lies in a folder that others can write, so that everything in it must be proven ours.
    is_shared: bool,
}

/// Beside the tokens; where that folder cannot be written, one that all processes of the user on this machine agree on.
fn places(env: &Env) -> impl Iterator<Item = Place> {
    let beside = folder(env).ok().map(|folder| Place { folder: folder.join("locks"), is_shared: false });
    let runtime = env.path(env::XDG_RUNTIME_DIR).filter(|path| path.is_absolute());
    let runtime = runtime.map(|path| Place { folder: path.join("databricks").join("locks"), is_shared: false });
    let temporary = env.path(env::TEMPORARY_FOLDER).filter(|path| path.is_absolute()).or_else(|| cfg!(unix).then(|| PathBuf::from("/tmp")));
    let temporary = temporary.map(|path| Place { folder: path.join(format!("databricks-{}", system::user())).join("locks"), is_shared: true });
    [beside, runtime, temporary].into_iter().flatten()
}

impl Place {
    fn open(&self, file_name: &str) -> Result<File, String> {
        if self.is_shared {
            // Made before it is looked at: whoever made it first, it has to be ours.
            files::make_folder(&self.folder).map_err(|error| error.to_string())?;
            for folder in [self.folder.parent().unwrap_or(&self.folder), &self.folder] {
                if !fs::symlink_metadata(folder).is_ok_and(|metadata| system::is_private_folder(&metadata)) {
                    return Err(format!("{} is not yours alone", folder.display()));
                }
            }
            return open(&self.folder, file_name).map_err(|error| said(&error));
        }
        // The folder is nearly always there.
        match open(&self.folder, file_name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files::make_folder(&self.folder).map_err(|error| error.to_string())?;
                open(&self.folder, file_name).map_err(|error| said(&error))
            }
            outcome => outcome.map_err(|error| said(&error)),
        }
    }
}

/// Opens or makes a lock file that is ours and no link to somebody else's.
fn open(folder: &Path, file_name: &str) -> io::Result<File> {
    let file = system::open(folder, file_name)?;
    if !system::is_own_file(&file.metadata()?) {
        return Err(io::Error::other("it is not a file of yours"));
    }
    Ok(file)
}

/// The file, and whether its lock is ours already.
fn first_try(file: File) -> io::Result<(File, bool)> {
    match file.try_lock() {
        Ok(()) => Ok((file, true)),
        Err(TryLockError::WouldBlock) => Ok((file, false)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// `None` if the lock was not free in time.
fn wait(file: File, patience: Duration) -> Option<io::Result<File>> {
    if patience.is_zero() {
        return None;
    }
    // A blocking lock wakes at once when it is free; the wait for it is what has a limit.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let outcome = file.lock().map(|()| file);
        // If nobody waits any more, the handle comes back in the error and is closed, which frees the lock.
        drop(sender.send(outcome));
    });
    receiver.recv_timeout(patience).ok()
}

fn busy(name: &str, path: &Path, patience: Duration) -> anyhow::Error {
    let mut text = String::new();
    let holder = File::open(path).and_then(|file| file.take(16).read_to_string(&mut text)).ok().and_then(|_| text.lines().next()?.parse::<u32>().ok());
    let who = holder.map_or("another process".to_owned(), |id| format!("another process ({id})"));
    let held = if patience.is_zero() { "holds".to_owned() } else { format!("has for {} seconds held", patience.as_secs_f32()) };
    let look = match holder {
        Some(id) if cfg!(windows) => format!("See what it does: tasklist /fi \"PID eq {id}\""),
        Some(id) => format!("See what it does: ps -fp {id}"),
        None => format!("See who it is: fuser {}", path.display()),
    };
    Failure::new(format!("{who} {held} the lock of {} ({})", text::quoted(name), path.display())).hint(look).into()
}

/// The system's words without Rust's `(os error 28)`.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_owned()
}

#[cfg(unix)]
mod system {
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use rustix::fs::{Mode, OFlags};

    use crate::files;

    pub(super) fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// Mode 0600 from the first moment; no link is followed, no pipe waited for. The folder is the one that was looked at, whatever somebody puts in its place meanwhile.
    pub(super) fn open(folder: &Path, file_name: &str) -> io::Result<File> {
        let directory = File::from(rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
        if files::is_anybodys(directory.metadata()?.uid(), folder) {
            return Err(io::Error::other("its folder belongs to another user"));
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&directory, file_name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    pub(super) fn is_own_file(metadata: &Metadata) -> bool {
        metadata.is_file() && metadata.uid() == user() && metadata.nlink() == 1
    }

    /// Nobody else may even look into it.
    pub(super) fn is_private_folder(metadata: &Metadata) -> bool {
        metadata.is_dir() && metadata.uid() == user() && metadata.mode().trailing_zeros() >= 6
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    /// The temporary folder is the user's own already.
    pub(super) fn user() -> u32 {
        0
    }

    pub(super) fn open(folder: &Path, file_name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(file_name))
    }

    pub(super) fn is_own_file(metadata: &Metadata) -> bool {
        metadata.is_file()
    }

    pub(super) fn is_private_folder(metadata: &Metadata) -> bool {
        metadata.is_dir()
    }
}

#[cfg(all(test, unix))]
#[path = "lock_tests.rs"]
mod tests;
