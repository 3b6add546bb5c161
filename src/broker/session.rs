//! The folders of managed sessions: one per session, for this user alone, gone with its keeper.
//!
//! A session is a folder with the managed profile file, a description, a socket for orders and a file that its keeper holds locked. The lock is the system's: it is free
//! as soon as the keeper is gone, however it ended, and a folder whose lock is free is nobody's. The watcher of a session waits for that lock; whoever looks for sessions sweeps
//! what nobody watched.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::env::{self, Env};
use crate::error::Failure;
use crate::files;
use crate::text;

/// The profile with the token, as hosted workbenches call it.
pub(crate) const PROFILE: &str = "workbench";
/// The profile behind the broker of `--live`.
pub(crate) const LIVE_PROFILE: &str = "workbench-live";
const PREFIX: &str = "session-";
const CONFIG: &str = ".databrickscfg";
const DESCRIPTION: &str = "session.json";
/// The password file of a session with a database.
pub(crate) const PASSFILE: &str = "pgpass";
const LOCK: &str = "lock";
const CONTROL: &str = "control";
const LARGEST_DESCRIPTION: u64 = 1 << 16;

/// What everybody may know of a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) id: String,
    pub(crate) host: String,
    /// The profile that it was started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    pub(crate) auth_type: String,
    /// The process that keeps it.
    pub(crate) keeper: u32,
    /// In seconds since 1970, as all times here.
    pub(crate) started: i64,
    /// The program that runs in it, without its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// The process that it ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bound_to: Option<u32>,
    /// When it ends in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<i64>,
    /// Whether a broker serves it too.
    pub(crate) live: bool,
    /// When the token in the file ends; `None` where it does not, or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<i64>,
    /// When the next one is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) renewal: Option<i64>,
    /// Why the last try to fetch one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<Database>,
}

/// The database whose password file a session keeps fresh: all that libpq needs to know, and no secret.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) dbname: String,
    pub(crate) sslmode: String,
    /// The certificates to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) roots: Option<PathBuf>,
    /// As for the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) renewal: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
}

/// The folder of a session, held by its keeper.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    id: String,
    lock: File,
}

/// A session that somebody keeps.
#[derive(Debug)]
pub(crate) struct Session {
    path: PathBuf,
    pub(crate) description: Description,
}

fn trouble(action: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    Failure::new(format!("cannot {action} {}: {error}", path.display()))
        .hint(format!(
            "Sessions lie in {}, or below {}; both have to be yours alone, and their paths shorter than 60 letters",
            env::XDG_RUNTIME_DIR,
            env::TEMPORARY_FOLDER
        ))
        .into()
}

/// The permissions of all others in a private folder.
const NOBODY: u32 = 0;

/// Whether a folder is a real one, this user's, and nobody else's.
fn is_private(path: &Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    Ok(metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == NOBODY)
}

/// Whether nobody else can put something else in the place of a folder in this one: `/tmp` is everybody's, but each may remove what is theirs only.
fn keeps_names(folder: &Path) -> io::Result<bool> {
    const STICKY: u32 = 0o1000;
    let metadata = fs::metadata(folder)?;
    let is_trusted = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    Ok(is_trusted && (metadata.mode() & 0o022 == NOBODY || metadata.mode() & STICKY != 0))
}

/// Where sessions lie: the user's runtime folder, which the system empties when the user is gone; else a folder of our own among the temporary ones.
fn base(env: &Env) -> PathBuf {
    let runtime = env.path(env::XDG_RUNTIME_DIR).filter(|folder| folder.is_absolute() && is_private(folder).unwrap_or(false));
    match runtime {
        Some(folder) => folder.join("databricks"),
        None => {
            let temporary = env.path(env::TEMPORARY_FOLDER).filter(|folder| folder.is_absolute()).unwrap_or_else(|| PathBuf::from("/tmp"));
            temporary.join(format!("databricks-{}", rustix::process::geteuid().as_raw()))
        }
    }
}

/// As [`base`]; made if it is not there.
fn base_made(env: &Env) -> Result<PathBuf> {
    let path = base(env);
    let parent = path.parent().unwrap_or(Path::new("/"));
    if !keeps_names(parent).map_err(|error| trouble("read", parent, &error))? {
        return Err(Failure::new(format!("other users can change what {} is", path.display()))
            .hint(format!("Set {} to a folder that is yours alone (mode 0700)", env::XDG_RUNTIME_DIR))
            .into());
    }
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(trouble("make", &path, &error)),
        _ => {}
    }
    match is_private(&path) {
        Ok(true) => Ok(path),
        Ok(false) => {
            // Ours, and only its mode is wrong? A link or a folder of somebody else stays what it is: nothing.
            let metadata = fs::symlink_metadata(&path).map_err(|error| trouble("read", &path, &error))?;
            if metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(|error| trouble("close", &path, &error))?;
                return Ok(path);
            }
            Err(Failure::new(format!("{} is not a folder of this user", path.display()))
                .hint(format!("Set {} to a folder that is yours alone (mode 0700)", env::XDG_RUNTIME_DIR))
                .into())
        }
        Err(error) => Err(trouble("read", &path, &error)),
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    let flags = i32::try_from((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits()).unwrap_or(0);
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path.join(LOCK))
}

/// Removes a folder with all that is in it, the token first. What is gone already is no error.
fn remove(path: &Path) -> Result<()> {
    // The folder goes even if the files with the secrets resist.
    let _first = fs::remove_file(path.join(CONFIG));
    let _second = fs::remove_file(path.join(PASSFILE));
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(trouble("remove", path, &error)),
        _ => Ok(()),
    }
}

impl Folder {
    /// Makes the folder of a new session, and removes those that nobody keeps any more.
    ///
    /// # Errors
    /// If there is no private place for it.
    pub(crate) fn create(env: &Env) -> Result<Self> {
        let base = base_made(env)?;
        // While this is held nobody takes a folder without a lock for one that was left behind.
        let all = File::open(&base).map_err(|error| trouble("open", &base, &error))?;
        all.lock().map_err(|error| trouble("lock", &base, &error))?;
        sweep(&base);
        let id: String = uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect();
        let path = base.join(format!("{PREFIX}{id}"));
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| trouble("make", &path, &error))?;
        let lock = lock_file(&path).map_err(|error| trouble("write", &path, &error))?;
        lock.lock().map_err(|error| trouble("lock", &path, &error))?;
        Ok(Self { path, id, lock })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The managed profile file.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The password file for libpq.
    pub(crate) fn passfile(&self) -> PathBuf {
        self.path.join(PASSFILE)
    }

    /// Writes down what everybody may know.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn describe(&self, description: &Description) -> Result<()> {
        // What nobody touches for days is removed by those who clean up /tmp.
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let _old = rustix::fs::futimens(&self.lock, &rustix::fs::Timestamps { last_access: now, last_modification: now });
        let text = serde_json::to_vec(description)?;
        files::update_with(&self.path.join(DESCRIPTION), LARGEST_DESCRIPTION, files::Care::Fleeting, |_| Ok(Some(text.clone()))).map(drop)
    }

    /// Where orders come in.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub(crate) fn control(&self) -> Result<UnixListener> {
        let path = self.path.join(CONTROL);
        let listener = UnixListener::bind(&path).map_err(|error| trouble("listen at", &path, &error))?;
        // Nobody else gets as far as this; and what a look at the folder shows is private too.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(|error| trouble("close", &path, &error))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Whether somebody else has removed it: a cleaner, or the system when the user's last login ended.
    pub(crate) fn is_lost(&self) -> bool {
        let same = |there: fs::Metadata, own: fs::Metadata| (there.dev(), there.ino()) == (own.dev(), own.ino());
        !fs::symlink_metadata(self.path.join(LOCK)).and_then(|there| Ok(same(there, self.lock.metadata()?))).unwrap_or(false)
    }

    /// Readable when something of it was removed; `None` where the system does not tell.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn loss(&self) -> Option<OwnedFd> {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let watch = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        add_watch(&watch, &self.path, WatchFlags::DELETE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR).ok()?;
        Some(watch)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    #[expect(clippy::unused_self, reason = "elsewhere it is looked at")]
    pub(crate) fn loss(&self) -> Option<OwnedFd> {
        None
    }

    /// Removes all of it.
    ///
    /// # Errors
    /// If something stays.
    pub(crate) fn remove(&self) -> Result<()> {
        remove(&self.path)
    }
}

/// Reads what [`Folder::loss`] tells, which is no more than that something was removed.
pub(crate) fn drain(loss: Option<&OwnedFd>) {
    let mut events = [0_u8; 4096];
    while loss.is_some_and(|loss| rustix::io::read(loss, &mut events).is_ok_and(|count| count > 0)) {}
}

/// Removes what dead keepers left. The caller holds the lock of the base.
fn sweep(base: &Path) {
    for path in folders(base) {
        if lock_file(&path).is_ok_and(|lock| lock.try_lock().is_ok()) {
            // One that resists is tried again by the next.
            let _left = remove(&path);
        }
    }
}

fn folders(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

/// The sessions that live, the oldest first; what dead ones left is removed.
///
/// # Errors
/// If the place where they lie is not this user's.
pub(crate) fn all(env: &Env) -> Result<Vec<Session>> {
    let base = base(env);
    match fs::symlink_metadata(&base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        _ => {}
    }
    let base = base_made(env)?;
    let lock = File::open(&base).map_err(|error| trouble("open", &base, &error))?;
    if lock.try_lock().is_ok() {
        sweep(&base);
        drop(lock);
    }
    let mut sessions: Vec<Session> = folders(&base).into_iter().filter_map(|path| Session::read(path).ok().flatten()).collect();
    sessions.sort_by_key(|session| session.description.started);
    Ok(sessions)
}

/// The session whose profile file is in force, by its path.
pub(crate) fn current(env: &Env) -> Option<String> {
    let path = env.path(env::CONFIG_FILE)?;
    let folder = path.parent()?;
    let is_ours = path.file_name()? == CONFIG && folder.parent()? == base(env);
    folder.file_name()?.to_str()?.strip_prefix(PREFIX).filter(|_| is_ours).map(ToOwned::to_owned)
}

/// The session that the environment still leads to, where that has ended.
pub(crate) fn ended(env: &Env) -> Option<String> {
    current(env).filter(|id| fs::symlink_metadata(base(env).join(format!("{PREFIX}{id}"))).is_err())
}

/// How to take the variables of a session out of a shell.
pub(crate) fn way_out(env: &Env) -> String {
    const OWN: [&str; 3] = [env::CONFIG_FILE, env::CONFIG_PROFILE, env::HOST];
    const LIBPQ: [&str; 7] = [env::PGPASSFILE, env::PGHOST, env::PGPORT, env::PGUSER, env::PGDATABASE, env::PGSSLMODE, env::PGSSLROOTCERT];
    let folder = |name| env.path(name).and_then(|path| path.parent().map(Path::to_owned));
    let has_database = folder(env::CONFIG_FILE) == folder(env::PGPASSFILE);
    let names: Vec<&str> = OWN.into_iter().chain(LIBPQ.into_iter().filter(|_| has_database)).collect();
    format!("To leave it in this shell: unset {}", names.join(" "))
}

/// Waits until the keeper of a session is gone, and removes what it left.
///
/// # Errors
/// If it cannot be removed.
pub(crate) fn watch(env: &Env, id: &str) -> Result<()> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::new(format!("{} is no session", text::quoted(id))).into());
    }
    let path = base(env).join(format!("{PREFIX}{id}"));
    if !path.is_dir() {
        return Ok(());
    }
    let lock = lock_file(&path).map_err(|error| trouble("watch", &path, &error))?;
    lock.lock().map_err(|error| trouble("watch", &path, &error))?;
    remove(&path)
}

impl Session {
    fn read(path: PathBuf) -> Result<Option<Self>> {
        let Some(bytes) = files::read(&path.join(DESCRIPTION), LARGEST_DESCRIPTION)? else { return Ok(None) };
        let description: Description = serde_json::from_slice(&bytes)?;
        Ok(Some(Self { path, description }))
    }

    /// The managed profile file.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Gives its keeper an order.
    ///
    /// # Errors
    /// If nobody listens.
    pub(crate) fn control(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.path.join(CONTROL))
    }

    /// Whether everything of it is gone.
    pub(crate) fn is_gone(&self) -> bool {
        !self.path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> (tempfile::TempDir, Env) {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let env = Env::default().with(env::XDG_RUNTIME_DIR, folder.path().to_str().unwrap());
        (folder, env)
    }

    #[test]
    fn a_session_is_there_as_long_as_its_keeper() {
        let (root, env) = env();
        assert!(all(&env).unwrap().is_empty());
        let folder = Folder::create(&env).unwrap();
        folder.describe(&Description { id: folder.id().to_owned(), ..Description::default() }).unwrap();
        assert_eq!(fs::metadata(&folder.path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.path.join(DESCRIPTION)).unwrap().mode() & 0o777, 0o600);
        let other = Folder::create(&env).unwrap();
        assert_eq!(all(&env).unwrap().len(), 1, "one without a description is not ready");
        assert!(folder.path.exists() && other.path.exists());
        // As if it had been killed: the lock is free, and nobody removed anything.
        let path = folder.path.clone();
        drop(folder);
        assert!(path.exists());
        assert!(all(&env).unwrap().is_empty());
        assert!(!path.exists() && other.path.exists());
        other.remove().unwrap();
        assert_eq!(fs::read_dir(root.path().join("databricks")).unwrap().count(), 0);
    }

    #[test]
    fn a_place_that_others_could_reach_is_not_taken() {
        let (root, env) = env();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("databricks")).unwrap();
        assert!(Folder::create(&env).is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        fs::remove_file(root.path().join("databricks")).unwrap();
        fs::create_dir(root.path().join("databricks")).unwrap();
        fs::set_permissions(root.path().join("databricks"), fs::Permissions::from_mode(0o755)).unwrap();
        drop(Folder::create(&env).unwrap());
        assert_eq!(fs::metadata(root.path().join("databricks")).unwrap().mode() & 0o777, 0o700);
        // A runtime folder that others can read is no private place.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let env = env.with(env::TEMPORARY_FOLDER, elsewhere.path().to_str().unwrap());
        let folder = Folder::create(&env).unwrap();
        assert!(folder.path.starts_with(elsewhere.path()), "{}", folder.path.display());
    }

    #[test]
    fn the_session_in_force_is_told_by_its_profile_file() {
        let (_root, env) = env();
        let folder = Folder::create(&env).unwrap();
        let inside = env.clone().with(env::CONFIG_FILE, folder.config().to_str().unwrap());
        assert_eq!(current(&inside).as_deref(), Some(folder.id()));
        assert_eq!(current(&env.with(env::CONFIG_FILE, "/elsewhere/session-abc/.databrickscfg")), None);
    }

    #[test]
    fn a_watcher_takes_no_path() {
        let (_root, env) = env();
        for odd in ["", "../x", "a/b", "."] {
            assert!(watch(&env, odd).is_err(), "{odd}");
        }
        watch(&env, "00000000").unwrap();
    }
}
