//! The one way the tool reads and writes the user's files: bounded reads, and writes that are locked, atomic and private.
//!
//! A write takes the lock of the folder, reads, changes, writes a temporary file with mode 0600 beside the target, syncs it, renames it over the target and syncs the
//! folder. A crash at any point leaves the old file or the new one. A temporary file that a crash left behind holds secrets, so the next command that touches the
//! file, reading or writing, removes it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// How long to wait for another process that holds the lock before giving up with an error that says so.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// How often an update starts over because a program that does not lock changed the file meanwhile.
const RETRIES: usize = 20;
/// Links followed before a chain of symbolic links counts as a loop, as in Linux.
const LONGEST_LINK_CHAIN: usize = 40;

/// Why a file could not be read or written; names the file and says what the system said.
#[derive(Debug)]
pub(crate) struct FileError {
    /// `read`, `write`, `lock`: what was tried.
    action: &'static str,
    path: PathBuf,
    reason: String,
}

impl FileError {
    fn new(action: &'static str, path: &Path, reason: impl fmt::Display) -> Self {
        Self { action, path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {} {}: {}", self.action, self.path.display(), self.reason)
    }
}

impl std::error::Error for FileError {}

/// What a file is on disk, to notice that somebody else replaced or changed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// A file's bytes and the facts about it that a rewrite has to keep.
struct Snapshot {
    bytes: Vec<u8>,
    identity: Identity,
    mode: u32,
    owner: (u32, u32),
}

/// Reads a regular file of at most `limit` bytes; `None` only if there is none.
///
/// # Errors
/// If it is a folder, a pipe, a socket or a device, too large, or cannot be read; never blocks on a pipe.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    open(path, limit)?.map(Opened::bytes).transpose()
}

/// As [`read`], but nothing is read yet.
///
/// # Errors
/// As [`read`].
pub(crate) fn open(path: &Path, limit: u64) -> Result<Option<Opened>, FileError> {
    remove_left_over(path);
    Opened::own(path, limit)
}

/// As [`read`], for files that this tool never writes: leaves everything beside it alone.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_foreign(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    Opened::foreign(path, limit)?.map(Opened::bytes).transpose()
}

/// A file's bytes, and who else may read them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) bytes: Vec<u8>,
    /// The mode, if others than the owner may read the file.
    pub(crate) open_mode: Option<u32>,
}

/// As [`read`]; the mode is that of the very file that was read.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_contents(path: &Path, limit: u64) -> Result<Option<Contents>, FileError> {
    remove_left_over(path);
    Ok(own_snapshot(path, limit)?.map(|snapshot| Contents { bytes: snapshot.bytes, open_mode: Some(snapshot.mode).filter(|mode| mode & 0o077 != 0) }))
}

/// Adds whole lines at the end of a file that belongs to another program, which may hold it open: not replaced, its mode and its lock are that program's. Made with mode 0600
/// if it is not there. A last line that somebody left open is ended first.
///
/// # Errors
/// As the system says; then nothing of the lines stays in the file.
pub(crate) fn append_lines(path: &Path, lines: &str) -> Result<(), FileError> {
    let fail = |error: io::Error| FileError::new("write", path, said(&error));
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    private(&mut options);
    without_blocking(&mut options);
    let mut file = options.open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(FileError::new("write", path, kind_of(&metadata)));
    }
    let mut last = [b'\n'];
    if metadata.len() > 0 {
        file.seek(io::SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(fail)?;
    }
    let start = if last == [b'\n'] { "" } else { "\n" };
    let text = zeroize::Zeroizing::new([start, lines].concat());
    file.write_all(text.as_bytes()).map_err(|error| {
        // Half a line would be taken for a whole one.
        drop(file.set_len(metadata.len()));
        fail(error)
    })
}

/// Opens a log to write at its end; made with mode 0600 if it is not there.
///
/// # Errors
/// As the system says.
pub(crate) fn append(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    private(&mut options);
    options.open(path).map_err(|error| FileError::new("write", path, said(&error)))
}

/// Whether a file could be replaced now, made before if it is not there: its folder can be written, and has room for `room` bytes and the file once more. Writes nothing but missing folders.
///
/// # Errors
/// Why not. That there is none does not promise that a write will succeed.
pub(crate) fn check_writable(path: &Path, room: u64) -> Result<(), FileError> {
    let target = resolve_links(path)?;
    let folder = folder_of(&target);
    make_folder(folder)?;
    let size = fs::metadata(&target).map_or(0, |metadata| metadata.len());
    check_folder(folder, size.saturating_add(room)).map_err(|error| FileError::new("write", &target, said(&error)))
}

/// Makes a folder and those above it that are missing, for the user alone.
///
/// # Errors
/// As the system says.
pub(crate) fn make_folder(path: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    private_folder(&mut builder);
    builder.create(path).map_err(|error| FileError::new("make the folder", path, said(&error)))
}

/// Removes a file of no bytes; a symbolic link stays, because somebody else arranged it.
///
/// # Errors
/// As the system says.
pub(crate) fn remove_if_empty(path: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 => fs::remove_file(path).map_err(|error| FileError::new("remove", path, said(&error))),
        _ => Ok(()),
    }
}

/// What a file is to its user: decides its mode, and how much is done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// It may hold secrets: for the user alone whatever it was before, and on the disk before the command goes on.
    Secret,
    /// Settings of another program, such as `.bashrc`: the mode stays as it is, and read-only means hands off.
    Settings,
    /// It can be made again: for the user alone, but nobody waits for a lock or for the disk.
    Cache,
    /// It goes with the process that writes it: for the user alone, but not worth a wait for the disk.
    #[cfg(unix)]
    Fleeting,
}

impl Care {
    /// Whether the file has to be on the disk before the command goes on.
    fn wants_disk(self) -> bool {
        matches!(self, Self::Secret | Self::Settings)
    }
}

/// The result of [`update`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Updated {
    /// The mode the file had before, if others could read it: it has been tightened to the user alone.
    pub(crate) tightened_from: Option<u32>,
}

/// Changes a file under the lock: `change` is given the present bytes (`None` if there is no file) and returns the new ones, or `None` to leave all as it is.
///
/// `change` may be called again if a program that does not lock changed the file meanwhile. A symbolic link is followed to its target, which is replaced in its own folder.
///
/// # Errors
/// Whatever `change` returned, or why the file could not be read, locked or replaced; then the old file is untouched.
pub(crate) fn update<F>(path: &Path, limit: u64, change: F) -> anyhow::Result<Updated>
where
    F: FnMut(Option<&[u8]>) -> anyhow::Result<Option<Vec<u8>>>,
{
    update_with(path, limit, Care::Secret, change)
}

/// As [`update`], for files that are no secrets.
///
/// # Errors
/// As [`update`]; and for [`Care::Settings`] if the file is read-only, for [`Care::Cache`] if another process holds the lock.
pub(crate) fn update_with<F>(path: &Path, limit: u64, care: Care, mut change: F) -> anyhow::Result<Updated>
where
    F: FnMut(Option<&[u8]>) -> anyhow::Result<Option<Vec<u8>>>,
{
    let target = resolve_links(path)?;
    let patience = if care == Care::Cache { Duration::ZERO } else { LOCK_LIMIT };
    let _lock = lock_folder(&target, patience)?;
    for _ in 0..RETRIES {
        let before = own_snapshot(&target, limit)?;
        let unchanged = Updated { tightened_from: None };
        let Some(bytes) = change(before.as_ref().map(|snapshot| snapshot.bytes.as_slice()))? else { return Ok(unchanged) };
        let same_bytes = before.as_ref().is_some_and(|snapshot| snapshot.bytes == bytes);
        let looser = before.as_ref().map(|snapshot| snapshot.mode).filter(|mode| care != Care::Settings && mode & 0o077 != 0);
        if same_bytes && looser.is_none() {
            return Ok(unchanged);
        }
        if care == Care::Settings && before.as_ref().is_some_and(|snapshot| snapshot.mode & 0o200 == 0) {
            return Err(FileError::new("write", &target, "it is read-only").into());
        }
        if replace(&target, before.as_ref(), &bytes, care)? {
            return Ok(Updated { tightened_from: looser });
        }
    }
    Err(FileError::new("write", &target, "another program keeps changing it at the same time").into())
}

/// Writes the temporary file and renames it over the target; `false` if the target is no longer what `before` saw.
fn replace(target: &Path, before: Option<&Snapshot>, bytes: &[u8], care: Care) -> Result<bool, FileError> {
    let fail = |error: io::Error| FileError::new("write", target, said(&error));
    let temporary = temporary_beside(target);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(FileError::new("replace", &temporary, said(&error))),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if care != Care::Settings || before.is_some() {
        private(&mut options);
    }
    let mut file = options.open(&temporary).map_err(fail)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| before.map_or(Ok(()), |before| keep_owner_and_mode(&file, before, care)))
        .and_then(|()| if care.wants_disk() { file.sync_all() } else { Ok(()) })
        .and_then(|()| {
            let now = present_identity(target)?;
            if now != before.map(|before| before.identity) {
                return Ok(false);
            }
            fs::rename(&temporary, target).map(|()| true)
        });
    if !matches!(written, Ok(true)) {
        // The error that brought us here is the one to report; a temporary file that stays is removed by the next command.
        drop(fs::remove_file(&temporary));
        return written.map_err(fail);
    }
    if care.wants_disk() {
        sync_folder(target);
    }
    Ok(true)
}

/// A file name that only the holder of the folder's lock may use, so that whatever a crash left there is known to be stale.
fn temporary_beside(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".databricks-tmp");
    target.with_file_name(name)
}

/// Removes a temporary file that a killed writer left behind, unless a living writer holds the lock.
fn remove_left_over(path: &Path) {
    // Beside the target of a link, as it was written there.
    let Ok(path) = resolve_links(path) else { return };
    let temporary = temporary_beside(&path);
    if fs::symlink_metadata(&temporary).is_ok()
        && let Ok(folder) = open_lock(&path)
        && folder.try_lock().is_ok()
    {
        drop(fs::remove_file(temporary));
    }
}

/// A regular file that was opened to be read, to a limit.
#[derive(Debug)]
pub(crate) struct Opened {
    file: io::Take<File>,
    metadata: fs::Metadata,
    path: PathBuf,
    limit: u64,
}

impl Opened {
    /// As [`read_foreign`] says, but nothing is read yet.
    fn foreign(path: &Path, limit: u64) -> Result<Option<Self>, FileError> {
        let fail = |error: io::Error| FileError::new("read", path, said(&error));
        let mut options = OpenOptions::new();
        options.read(true);
        without_blocking(&mut options);
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(FileError::new("read", path, kind_of(&metadata)));
        }
        let opened = Self { file: file.take(limit + 1), metadata, path: path.to_owned(), limit };
        if opened.metadata.len() > limit { Err(opened.too_large()) } else { Ok(Some(opened)) }
    }

    /// As [`Opened::foreign`], of a file that nobody else can have put there.
    fn own(path: &Path, limit: u64) -> Result<Option<Self>, FileError> {
        let opened = Self::foreign(path, limit)?;
        if opened.as_ref().is_some_and(|opened| is_anybodys(owner(&opened.metadata).0, path)) {
            return Err(FileError::new("use", path, PLANTED));
        }
        Ok(opened)
    }

    fn too_large(&self) -> FileError {
        FileError::new("read", &self.path, format_args!("it is larger than {} MiB, which no such file is", self.limit >> 20))
    }

    /// How many bytes it had when it was opened.
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.metadata.len()).unwrap_or(usize::MAX)
    }

    /// To be read in pieces; what is beyond the limit is not there.
    pub(crate) fn reader(&mut self) -> &mut dyn io::Read {
        &mut self.file
    }

    /// Whether it grew beyond the limit while it was read.
    pub(crate) fn is_cut(&self) -> bool {
        self.file.limit() == 0
    }

    /// All of it.
    pub(crate) fn bytes(mut self) -> Result<Vec<u8>, FileError> {
        Ok(self.snapshot()?.bytes)
    }

    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.size() + 1];
        let first = match self.file.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            first => first?,
        };
        bytes.truncate(first);
        // As much as it should be, though there was room for more: this is its end, and nobody has to ask again.
        if first == 0 || first != self.size() {
            self.file.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn snapshot(&mut self) -> Result<Snapshot, FileError> {
        let bytes = self.read_all().map_err(|error| FileError::new("read", &self.path, said(&error)))?;
        if self.is_cut() {
            return Err(self.too_large());
        }
        let metadata = &self.metadata;
        Ok(Snapshot { bytes, identity: identity(metadata), mode: mode(metadata), owner: owner(metadata) })
    }
}

fn own_snapshot(path: &Path, limit: u64) -> Result<Option<Snapshot>, FileError> {
    Opened::own(path, limit)?.map(|mut opened| opened.snapshot()).transpose()
}

/// Why a file or link is not used that its folder lets anybody make.
const PLANTED: &str = "it belongs to another user, and everybody can write to its folder; put it elsewhere, or close the folder with chmod o-w";

/// Whether somebody else's file or link at a place says nothing about what the user wants.
pub(crate) fn is_anybodys(owner: u32, path: &Path) -> bool {
    is_strangers(owner) && resolve_links(path).map_or(true, |target| fs::metadata(folder_of(&target)).is_ok_and(|folder| is_open_to_all(&folder)))
}

fn kind_of(metadata: &fs::Metadata) -> &'static str {
    if metadata.is_dir() { "it is a folder, not a file" } else { "it is not a regular file" }
}

/// The system's words without Rust's `(os error 28)`, which tells a person nothing.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

fn resolve_links(path: &Path) -> Result<PathBuf, FileError> {
    let mut target = path.to_owned();
    for _ in 0..LONGEST_LINK_CHAIN {
        match fs::read_link(&target) {
            Ok(next) => {
                let link = fs::symlink_metadata(&target).ok().filter(fs::Metadata::is_symlink);
                let folder = || fs::metadata(folder_of(&target)).is_ok_and(|folder| is_open_to_all(&folder));
                if link.is_none_or(|link| is_strangers(owner(&link).0)) && folder() {
                    return Err(FileError::new("use", path, PLANTED));
                }
                target = target.parent().unwrap_or(Path::new("")).join(next);
            }
            // No link, or nothing there yet. Anything else might be a link that cannot be read just now, which must not be replaced by a file.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => return Ok(target),
            Err(error) => return Err(FileError::new("read", path, said(&error))),
        }
    }
    Err(FileError::new("write", path, "it is a symbolic link that leads back to itself"))
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The lock is the folder itself (`flock` on Unix), so no lock file is left in anybody's home or dotfiles repository.
/// Where a folder cannot be locked (Windows, NFS), or anybody at all could keep it locked, a file `<name>.lock` beside the target serves.
#[cfg(unix)]
fn open_lock(target: &Path) -> io::Result<File> {
    let folder = File::open(folder_of(target))?;
    if !is_open_to_all(&folder.metadata()?) {
        return Ok(folder);
    }
    let lock = open_lock_file(target)?;
    if is_strangers(owner(&lock.metadata()?).0) { Err(io::Error::other("its lock belongs to another user")) } else { Ok(lock) }
}

#[cfg(not(unix))]
fn open_lock(target: &Path) -> io::Result<File> {
    open_lock_file(target)
}

fn open_lock_file(target: &Path) -> io::Result<File> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    private(&mut options);
    no_link(&mut options);
    options.open(target.with_file_name(name))
}

/// Takes the exclusive lock; the operating system frees it when the handle closes, also when the process is killed.
fn lock_folder(target: &Path, patience: Duration) -> Result<File, FileError> {
    let fail = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            let folder = folder_of(target).display();
            FileError::new("write", target, format_args!("the folder {folder} does not exist; create it with: mkdir -p {folder}"))
        }
        _ => FileError::new("lock", target, said(error)),
    };
    let mut lock = open_lock(target).map_err(|error| fail(&error))?;
    match lock.try_lock() {
        Ok(()) => return Ok(lock),
        Err(fs::TryLockError::WouldBlock) if patience.is_zero() => return Err(FileError::new("lock", target, "another process holds its lock")),
        Err(fs::TryLockError::WouldBlock) => {}
        Err(fs::TryLockError::Error(_)) => lock = open_lock_file(target).map_err(|error| fail(&error))?,
    }
    // A blocking lock wakes at once when it is free; the wait for it is what has a limit.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let outcome = lock.lock().map(|()| lock);
        // If nobody waits any more, the handle comes back in the error and is closed, which frees the lock.
        drop(sender.send(outcome));
    });
    match receiver.recv_timeout(patience) {
        Ok(outcome) => outcome.map_err(|error| fail(&error)),
        Err(_) => {
            let seconds = patience.as_secs();
            Err(FileError::new("lock", target, format_args!("another process has held its lock for {seconds} seconds")))
        }
    }
}

fn present_identity(target: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(target) {
        Ok(metadata) => Ok(Some(identity(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn sync_folder(target: &Path) {
    // The new file is complete and in place; a file system that cannot sync folders (some network ones) does not undo that.
    if let Ok(folder) = File::open(folder_of(target)) {
        drop(folder.sync_all());
    }
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};

    use super::{Care, Identity, Snapshot};

    pub(super) fn identity(metadata: &Metadata) -> Identity {
        Identity { device: metadata.dev(), inode: metadata.ino(), size: metadata.size(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }

    pub(super) fn mode(metadata: &Metadata) -> u32 {
        metadata.mode() & 0o7777
    }

    pub(super) fn owner(metadata: &Metadata) -> (u32, u32) {
        (metadata.uid(), metadata.gid())
    }

    /// Whether the folder can be written and its file system has room; one that does not say how large it is has.
    pub(super) fn check_folder(folder: &std::path::Path, room: u64) -> io::Result<()> {
        rustix::fs::accessat(rustix::fs::CWD, folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK, rustix::fs::AtFlags::EACCESS)?;
        let system = rustix::fs::statvfs(folder)?;
        if system.f_blocks > 0 && system.f_bavail.saturating_mul(system.f_frsize) < room {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        Ok(())
    }

    /// Mode 0600 from the first moment.
    pub(super) fn private(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    /// No link is followed, and no pipe waited for.
    pub(super) fn no_link(options: &mut OpenOptions) {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }

    /// Whether a file is neither the user's nor root's.
    pub(super) fn is_strangers(owner: u32) -> bool {
        owner != 0 && owner != rustix::process::geteuid().as_raw()
    }

    pub(super) fn is_open_to_all(folder: &Metadata) -> bool {
        folder.mode() & 0o002 != 0
    }

    /// Opening a named pipe must not wait for its other end.
    pub(super) fn without_blocking(options: &mut OpenOptions) {
        options.custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0));
    }

    pub(super) fn private_folder(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }

    /// A stricter mode stays; a looser one becomes 0600, unless the file is no secret. Root who edits a user's file leaves it the user's.
    pub(super) fn keep_owner_and_mode(file: &File, before: &Snapshot, care: Care) -> io::Result<()> {
        let now = file.metadata()?;
        if owner(&now) != before.owner {
            let (user, group) = before.owner;
            std::os::unix::fs::fchown(file, Some(user), Some(group))?;
        }
        let wanted = if care == Care::Settings { before.mode } else { before.mode & 0o700 };
        if wanted != 0o600 {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(wanted))?;
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;

    use super::{Care, Identity, Snapshot};

    pub(super) fn identity(metadata: &Metadata) -> Identity {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
        Identity { device: 0, inode: 0, size: metadata.len(), modified: (i64::try_from(modified.as_secs()).unwrap_or(0), i64::from(modified.subsec_nanos())) }
    }

    pub(super) fn mode(_metadata: &Metadata) -> u32 {
        0o600
    }

    pub(super) fn owner(_metadata: &Metadata) -> (u32, u32) {
        (0, 0)
    }

    pub(super) fn check_folder(folder: &std::path::Path, _room: u64) -> io::Result<()> {
        std::fs::metadata(folder).map(drop)
    }

    pub(super) fn private(_options: &mut OpenOptions) {}

    pub(super) fn private_folder(_builder: &mut DirBuilder) {}

    pub(super) fn no_link(_options: &mut OpenOptions) {}

    pub(super) fn is_strangers(_owner: u32) -> bool {
        false
    }

    pub(super) fn is_open_to_all(_folder: &Metadata) -> bool {
        false
    }

    pub(super) fn without_blocking(_options: &mut OpenOptions) {}

    pub(super) fn keep_owner_and_mode(_file: &File, _before: &Snapshot, _care: Care) -> io::Result<()> {
        Ok(())
    }
}

use system::{check_folder, identity, is_open_to_all, is_strangers, keep_owner_and_mode, mode, no_link, owner, private, private_folder, without_blocking};

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const LIMIT: u64 = 1 << 20;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn put(path: &Path, text: &str, mode: u32) {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let mut file = options.open(path).expect("open");
        file.write_all(text.as_bytes()).expect("write");
        file.set_permissions(fs::Permissions::from_mode(mode)).expect("chmod");
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
    }

    fn append(path: &Path, line: &str) -> anyhow::Result<Updated> {
        update(path, LIMIT, |before| Ok(Some([before.unwrap_or_default(), line.as_bytes()].concat())))
    }

    #[test]
    fn a_new_file_is_private_and_a_loose_one_is_tightened() {
        let folder = folder();
        let path = folder.path().join("file");
        assert_eq!(append(&path, "a\n").expect("new"), Updated { tightened_from: None });
        assert_eq!(mode_of(&path), 0o600);
        put(&path, "a\n", 0o644);
        assert_eq!(append(&path, "b\n").expect("tighten"), Updated { tightened_from: Some(0o644) });
        assert_eq!((mode_of(&path), fs::read_to_string(&path).expect("text").as_str()), (0o600, "a\nb\n"));
        put(&path, "a\n", 0o400);
        append(&path, "b\n").expect("stricter");
        assert_eq!(mode_of(&path), 0o400);
    }

    #[test]
    fn settings_of_another_program_keep_their_mode_and_a_cache_does_not_wait() {
        let folder = folder();
        let path = folder.path().join("rc");
        let add = |care| update_with(&path, LIMIT, care, |before| Ok(Some([before.unwrap_or_default(), b"x"].concat())));
        for mode in [0o644, 0o600, 0o755, 0o640] {
            put(&path, "a", mode);
            assert_eq!(add(Care::Settings).expect("settings"), Updated { tightened_from: None });
            assert_eq!(mode_of(&path), mode);
        }
        put(&path, "a", 0o444);
        assert!(add(Care::Settings).expect_err("read-only").to_string().contains("read-only"));
        assert_eq!((mode_of(&path), fs::read_to_string(&path).expect("text").as_str()), (0o444, "a"));
        put(&path, "", 0o644);
        add(Care::Cache).expect("cache");
        assert_eq!(mode_of(&path), 0o600);
        let held = open_lock(&path).expect("folder");
        held.lock().expect("lock");
        add(Care::Cache).expect_err("busy");
    }

    #[test]
    fn links_are_kept_and_their_target_replaced() {
        let folder = folder();
        fs::create_dir(folder.path().join("dotfiles")).expect("mkdir");
        symlink("dotfiles/first", folder.path().join("link")).expect("link");
        symlink("second", folder.path().join("dotfiles/first")).expect("link");
        append(&folder.path().join("link"), "x").expect("dangling chain is created");
        assert!(fs::symlink_metadata(folder.path().join("link")).expect("link").is_symlink());
        assert_eq!(fs::read_to_string(folder.path().join("dotfiles/second")).expect("target"), "x");
        symlink("loop", folder.path().join("loop")).expect("link");
        assert!(append(&folder.path().join("loop"), "x").expect_err("loop").to_string().contains("leads back to itself"));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = folder();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("mkfifo");
        for (path, reason) in [(pipe.as_path(), "not a regular file"), (folder.path(), "a folder"), (Path::new("/dev/zero"), "not a regular file")] {
            let error = read(path, LIMIT).expect_err("refused").to_string();
            assert!(error.contains(reason) && error.contains(&path.display().to_string()), "{error}");
        }
        let big = folder.path().join("big");
        File::options().write(true).create_new(true).open(&big).expect("open").set_len(LIMIT + 1).expect("grow");
        assert!(read(&big, LIMIT).expect_err("too large").to_string().contains("larger than 1 MiB"));
        assert_eq!(read(&folder.path().join("none"), LIMIT).expect("missing"), None);
    }

    #[test]
    fn a_change_made_by_a_program_that_does_not_lock_is_seen() {
        let folder = folder();
        let path = folder.path().join("file");
        put(&path, "one\n", 0o600);
        let mut first = true;
        update(&path, LIMIT, |before| {
            if std::mem::take(&mut first) {
                put(&path, "one\nforeign\n", 0o600);
            }
            Ok(Some([before.unwrap_or_default(), b"ours\n"].concat()))
        })
        .expect("update");
        assert_eq!(fs::read_to_string(&path).expect("text"), "one\nforeign\nours\n");
    }

    #[test]
    fn a_left_over_of_a_crash_is_removed_by_the_next_read_or_write() {
        let folder = folder();
        let path = folder.path().join("file");
        put(&path, "a", 0o600);
        for act in [|path: &Path| drop(read(path, LIMIT)), |path: &Path| drop(append(path, "b"))] {
            put(&temporary_beside(&path), "dapi-secret", 0o600);
            act(&path);
            assert!(!temporary_beside(&path).exists());
        }
        put(&temporary_beside(&path), "being written", 0o600);
        let held = open_lock(&path).expect("folder");
        held.lock().expect("lock");
        read(&path, LIMIT).expect("read");
        assert!(temporary_beside(&path).exists(), "a living writer's file stays");
    }

    #[test]
    fn lines_are_added_to_a_foreign_file_without_replacing_it() {
        let folder = folder();
        let path = folder.path().join("file");
        put(&path, "A=1", 0o644);
        let before = own_snapshot(&path, LIMIT).expect("readable").expect("there").identity.inode;
        append_lines(&path, "B=2\n").expect("append");
        append_lines(&path, "C=3\n").expect("append");
        let after = own_snapshot(&path, LIMIT).expect("readable").expect("there");
        assert_eq!((after.bytes.as_slice(), after.mode, after.identity.inode), (&b"A=1\nB=2\nC=3\n"[..], 0o644, before));
        let new = folder.path().join("new");
        append_lines(&new, "B=2\n").expect("append");
        assert_eq!(mode_of(&new), 0o600);
        assert!(append_lines(folder.path(), "B=2\n").is_err());
        assert!(append_lines(Path::new("/dev/full"), "B=2\n").is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_told() {
        let folder = folder();
        let path = folder.path().join("file");
        put(&path, "a", 0o600);
        let read = || read_contents(&path, LIMIT).expect("read").expect("there");
        assert_eq!(read(), Contents { bytes: b"a".to_vec(), open_mode: None });
        put(&path, "a", 0o640);
        assert_eq!(read(), Contents { bytes: b"a".to_vec(), open_mode: Some(0o640) });
    }

    #[test]
    fn parallel_writers_lose_nothing() {
        let folder = folder();
        let path = folder.path().join("file");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    (0..5).for_each(|line| {
                        append(path, &format!("{writer}-{line}\n")).expect("append");
                    });
                });
            }
        });
        assert_eq!(fs::read_to_string(&path).expect("text").lines().count(), 40);
    }

    #[test]
    fn a_failed_change_leaves_the_file_and_no_temporary() {
        let folder = folder();
        let path = folder.path().join("file");
        put(&path, "a", 0o600);
        update(&path, LIMIT, |_| anyhow::bail!("no")).expect_err("refused");
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
        let missing = folder.path().join("none/file");
        let error = append(&missing, "x").expect_err("no folder").to_string();
        assert!(error.contains("mkdir -p"), "{error}");
    }
}
