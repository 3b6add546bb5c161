//! The local door: programs that know only host, port and password come in here, and are logged in at the server with a password that lives.
//!
//! Nobody gets in over TCP without the door's own password; a socket is for whoever may enter its folder. The name of the user and, where none is asked for, that of the database are
//! replaced by those of the target; after the login bytes go both ways untouched.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::lakebase::target::role_hint;
use crate::lakebase::upstream::{LoggedIn, Refusal, Server};
use crate::lakebase::vault::{Trouble, Vault};
use crate::lakebase::wire::{self, Greeting, Startup};
use crate::secret::Secret;
use crate::text;
use crate::ui;

/// For everything that a client has to say before it is logged in: as `authentication_timeout` of the server.
const GREETING: Duration = Duration::from_secs(60);
/// For a request to cancel, which nobody answers.
const CANCELLING: Duration = Duration::from_secs(10);
/// How many clients may be there at once; a server takes fewer.
const MOST_CLIENTS: usize = 4_000;
/// What is on its way to the server, and to the client, for each connection: queries are short, and a TLS record has at most 16 KiB.
const BUFFERS: (usize, usize) = (4 << 10, 16 << 10);
/// So often a login asks whether a server that restarts is back.
const AGAIN: Duration = Duration::from_millis(100);
/// `invalid_catalog_name`: there is no database of that name.
const NO_DATABASE: &str = "3D000";
/// A password that is refused so soon after it was made was not too old.
const FRESH: Duration = Duration::from_secs(1);

/// Who may come in.
#[derive(Debug)]
pub(crate) enum Access {
    /// Whoever can reach the socket.
    Everybody,
    /// Whoever has this password.
    Password(Secret),
}

/// The door to one database.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) server: Server,
    pub(crate) user: String,
    /// For clients that ask for none.
    pub(crate) database: String,
    pub(crate) access: Access,
    pub(crate) vault: Vault,
    pub(crate) clients: Clients,
}

/// Who is there.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    count: AtomicUsize,
    left: Notify,
}

impl Clients {
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until nobody is there.
    async fn all_gone(&self) {
        loop {
            let left = self.left.notified();
            if self.count() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// One client, counted as long as it is there.
struct Present(Arc<Door>);

impl Present {
    fn new(door: &Arc<Door>) -> Self {
        door.clients.count.fetch_add(1, Ordering::Relaxed);
        Self(door.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.clients.count.fetch_sub(1, Ordering::Relaxed);
        self.0.clients.left.notify_waiters();
    }
}

/// Where the door is.
#[derive(Debug)]
pub(crate) enum Listener {
    /// The address, and the other loopback address of its port, where clients go that know the name `localhost`.
    Tcp(std::net::TcpListener, Option<std::net::TcpListener>),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

impl Listener {
    /// Clients that are told `localhost` go to `::1` first: whoever listened there would be given the door's password.
    ///
    /// # Errors
    /// If the address cannot be had, or somebody else has that port at `::1`.
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let bound = |address: SocketAddr| {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(listener)
        };
        let listener = bound(address)?;
        let address = listener.local_addr()?;
        let other = match bound((Ipv6Addr::LOCALHOST, address.port()).into()) {
            _ if address.ip() != Ipv4Addr::LOCALHOST => None,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            other => other.ok(),
        };
        Ok((Self::Tcp(listener, other), address))
    }

    /// A socket in a folder that is for the user alone.
    ///
    /// # Errors
    /// If somebody listens there already, or it cannot be made.
    #[cfg(unix)]
    pub(crate) fn unix(path: &std::path::Path) -> io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
        use std::os::unix::net::{UnixListener, UnixStream};
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
                if !is_socket || UnixStream::connect(path).is_ok() {
                    return Err(error);
                }
                // Left behind by a process that was killed.
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            done => done?,
        };
        // Its folder is closed already; this is for whoever opens that later.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        listener.set_nonblocking(true)?;
        Ok(Self::Unix(listener))
    }
}

/// Whether an address is of this machine only: passwords come over it in clear.
pub(crate) fn is_private(address: IpAddr) -> bool {
    address.is_loopback()
}

/// Lets clients in until the first signal to end, then waits for those who are there until the second.
///
/// # Errors
/// If the system gives no runtime or no signals.
pub(crate) fn serve(door: &Arc<Door>, listener: Listener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut accepting = Vec::new();
        match listener {
            Listener::Tcp(listener, other) => {
                for listener in std::iter::once(listener).chain(other) {
                    accepting.push(tokio::spawn(accept_tcp(door.clone(), TcpListener::from_std(listener)?)));
                }
            }
            #[cfg(unix)]
            Listener::Unix(listener) => accepting.push(tokio::spawn(accept_unix(door.clone(), UnixListener::from_std(listener)?))),
        }
        signals.next().await;
        for accepting in accepting {
            accepting.abort();
            let _aborted = accepting.await;
        }
        let left = door.clients.count();
        if left > 0 {
            ui::aside(&format!("No more clients are let in. Waiting for {left} to finish; once more to end at once."));
        }
        either(door.clients.all_gone(), signals.next()).await;
        Ok(())
    });
    // A name that is still being looked up is nobody's concern.
    runtime.shutdown_background();
    outcome
}

/// Waits for whichever of the two is first.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    std::future::poll_fn(|context| {
        if one.as_mut().poll(context).is_ready() || other.as_mut().poll(context).is_ready() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// What asks this process to end.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        crate::signals::owned(&[signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM]);
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        let (interrupt, terminate) = (&mut self.interrupt, &mut self.terminate);
        let interrupted = std::future::poll_fn(|context| interrupt.poll_recv(context).map(|_| ()));
        let terminated = std::future::poll_fn(|context| terminate.poll_recv(context).map(|_| ()));
        either(interrupted, terminated).await;
    }

    #[cfg(not(unix))]
    #[allow(clippy::unused_self, reason = "as on Unix")]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    #[allow(clippy::unused_self, reason = "as on Unix")]
    async fn next(&mut self) {
        let _interrupted = tokio::signal::ctrl_c().await;
    }
}

/// When there are no more descriptors: some become free.
const BREATH: Duration = Duration::from_millis(50);

async fn accept_tcp(door: Arc<Door>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            // Who is one too many is told; but not without end.
            Ok(_) if door.clients.count() > 2 * MOST_CLIENTS => {}
            Ok((client, _)) => {
                let _slow = client.set_nodelay(true);
                tokio::spawn(attend(Present::new(&door), client));
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

#[cfg(unix)]
async fn accept_unix(door: Arc<Door>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(attend(Present::new(&door), client))),
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

/// One client from its first byte to its last. Whatever goes wrong is this client's alone.
async fn attend<S: AsyncRead + AsyncWrite + Unpin>(present: Present, mut client: S) {
    let door = &present.0;
    if let Some(trouble) = attended(door, &mut client).await {
        let _gone = timeout(CANCELLING, async {
            client.write_all(&wire::fatal(&trouble)).await?;
            client.shutdown().await
        })
        .await;
    }
}

/// The trouble that the client is to be told.
async fn attended<S: AsyncRead + AsyncWrite + Unpin>(door: &Door, client: &mut S) -> Option<Trouble> {
    // Who says nothing, or garbage, or goes, is not answered, and nobody is told of it.
    let (mut startup, is_guess) = match timeout(GREETING, admit(door, client)).await {
        Ok(Ok(Some(admitted))) => admitted,
        Ok(Err(Stop::Trouble(trouble))) => return Some(trouble),
        Ok(Ok(None) | Err(Stop::Gone)) | Err(_) => return None,
    };
    let mut outcome = log_in(door, &startup).await;
    if is_guess
        && let Ok(LoggedIn { stream, said }) = &mut outcome
        && let Ok(Ok((kind, body))) = timeout(GREETING, wire::read_message(stream)).await
    {
        if kind == b'E' && wire::error_field(&body, b'C') == NO_DATABASE {
            startup.set("database", &door.database);
            outcome = log_in(door, &startup).await;
        } else {
            said.extend(wire::message(kind, &body));
        }
    }
    let LoggedIn { stream: mut server, said } = match outcome {
        Ok(logged_in) => logged_in,
        Err(Refusal::Trouble(trouble) | Refusal::Closed(trouble)) => {
            ui::aside(&format!("A login failed: {}", text::one_line(&trouble.message)));
            return Some(trouble);
        }
        Err(Refusal::Server(packet)) => {
            let said = wire::error_field(&packet[5..], b'M');
            let hint = if wire::error_field(&packet[5..], b'C').starts_with("28") { format!("\nHint: {}", role_hint(&door.user)) } else { String::new() };
            ui::aside(&format!("The server refused a login as {}: {}{hint}", text::one_line(&door.user), text::one_line(&said)));
            let _gone = timeout(CANCELLING, async {
                client.write_all(&packet).await?;
                client.shutdown().await
            })
            .await;
            return None;
        }
    };
    if client.write_all(&said).await.is_ok() {
        // Ends when both sides are done, or one of them broke off: then the other is closed too.
        let _broken = tokio::io::copy_bidirectional_with_sizes(client, &mut server, BUFFERS.0, BUFFERS.1).await;
    }
    None
}

enum Stop {
    Gone,
    Trouble(Trouble),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Reads what a client wants, and lets it in or not; and whether its database is called as its user, as libpq and JDBC have it where nobody names one. `None` if there is
/// nothing more to do for it.
async fn admit<S: AsyncRead + AsyncWrite + Unpin>(door: &Door, client: &mut S) -> Result<Option<(Startup, bool)>, Stop> {
    let trouble = |code, message: String, hint: &str| Stop::Trouble(Trouble { code, message, hint: hint.to_owned() });
    let mut startup = match wire::greet(client).await? {
        Greeting::Startup(startup) => startup,
        Greeting::Nobody => return Ok(None),
        Greeting::Wrong(why) => return Err(trouble("08P01", why.to_owned(), "")),
        Greeting::Cancel(packet) => {
            let _unheard = timeout(CANCELLING, cancel(door, &packet)).await;
            return Ok(None);
        }
    };
    if door.clients.count() > MOST_CLIENTS {
        return Err(trouble("53300", format!("more than {MOST_CLIENTS} clients are connected to this proxy"), ""));
    }
    let Some(user) = startup.get("user").map(<[u8]>::to_vec).filter(|user| !user.is_empty()) else {
        return Err(trouble("28000", "no PostgreSQL user name specified in startup packet".to_owned(), ""));
    };
    if let Access::Password(password) = &door.access {
        let Some(given) = wire::ask_password(client).await? else { return Ok(None) };
        if !is_same(&given, password.expose().as_bytes()) {
            let hint = "It is the password that the proxy showed when it started, or that stands in its --password-file";
            return Err(trouble("28P01", "this is not the password of the proxy".to_owned(), hint));
        }
    }
    let database = startup.get("database").filter(|database| !database.is_empty());
    let is_guess = database.is_some_and(|database| database == user);
    if database.is_none() {
        startup.set("database", &door.database);
    }
    startup.set("user", &door.user);
    Ok(Some((startup, is_guess)))
}

/// Compares without telling by its time how much is right.
fn is_same(given: &[u8], right: &[u8]) -> bool {
    given.len() == right.len() && given.iter().zip(right).fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
}

/// Logs in; waits a little for a server that lets nobody in while it restarts.
async fn log_in(door: &Door, startup: &Startup) -> Result<LoggedIn, Refusal> {
    let began = Instant::now();
    let mut patience = Duration::ZERO;
    loop {
        let refusal = match log_in_now(door, startup).await {
            Err(refusal) => refusal,
            done => return done,
        };
        let Some(wanted) = refusal.patience() else { return Err(refusal) };
        if wanted > patience {
            patience = wanted;
            ui::aside(&format!("The server refuses connections; a login waits up to {} seconds for it.", patience.as_secs()));
        }
        if began.elapsed() >= patience {
            return Err(refusal);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Logs in; with a new password, if one that has been here for a while is refused: the clocks may differ, or somebody revoked it.
async fn log_in_now(door: &Door, startup: &Startup) -> Result<LoggedIn, Refusal> {
    let password = door.vault.get().await?;
    match door.server.log_in(startup, &password).await {
        Err(Refusal::Server(packet)) if wire::error_field(&packet[5..], b'C').starts_with("28") && password.age() > FRESH => {
            let Ok(other) = door.vault.get_other_than(&password).await else { return Err(Refusal::Server(packet)) };
            if other.text == password.text {
                return Err(Refusal::Server(packet));
            }
            door.server.log_in(startup, &other).await
        }
        done => done,
    }
}

/// Passes a request to cancel on, over TLS, and waits until the server has read it: it answers by closing the connection.
async fn cancel(door: &Door, packet: &[u8]) -> Result<(), Refusal> {
    let mut server = door.server.connect().await?;
    let sent = async {
        server.write_all(packet).await?;
        server.flush().await?;
        tokio::io::AsyncReadExt::read(&mut server, &mut [0]).await
    };
    let _closed = sent.await;
    Ok(())
}
