//! Sockets: two listeners, one thread per connection, and the faults that need the bare socket.

use super::api;
use super::faults::Effect;
use super::http::{Body, Reader, Request, Response, Unread};
use super::record::Plane;
use super::state::State;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The running server. Dropping it closes both ports and every connection.
#[derive(Debug)]
pub(super) struct Server {
    state: Arc<State>,
    live: Arc<Live>,
    listeners: Vec<(SocketAddr, JoinHandle<()>)>,
}

/// The sockets of all open connections, to be shut when the server ends.
#[derive(Debug, Default)]
struct Live(Mutex<HashMap<u64, Arc<TcpStream>>>);

impl Server {
    pub(super) fn start(state: Arc<State>, http: TcpListener, https: TcpListener, tls: Option<Arc<ServerConfig>>) -> Server {
        let live = Arc::new(Live::default());
        let listeners = [(http, Plane::Http, None), (https, Plane::Https, tls)]
            .into_iter()
            .map(|(listener, plane, tls)| {
                let address = listener.local_addr().expect("a bound listener");
                let (state, live) = (Arc::clone(&state), Arc::clone(&live));
                let thread = thread::Builder::new()
                    .name(format!("workspace {plane:?}"))
                    .spawn(move || accept(&listener, plane, tls.as_ref(), &state, &live))
                    .expect("a thread can be started");
                (address, thread)
            })
            .collect();
        Server { state, live, listeners }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stop.stop();
        for (address, thread) in self.listeners.drain(..) {
            // A connection wakes the accept loop, which then sees the flag. Joining it means the
            // port is closed when the workspace is gone.
            let _ = TcpStream::connect(address);
            let _ = thread.join();
        }
        for (_, socket) in self.live.0.lock().unwrap().drain() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, plane: Plane, tls: Option<&Arc<ServerConfig>>, state: &Arc<State>, live: &Arc<Live>) {
    loop {
        let accepted = listener.accept();
        if state.stop.is_stopped() {
            return;
        }
        // A connection given up while it waited, or no descriptors left for the moment: both pass.
        let Ok((socket, _)) = accepted else {
            state.stop.sleep(Duration::from_millis(10));
            continue;
        };
        let number = state.connections.fetch_add(1, Ordering::Relaxed);
        // Without it, Nagle and delayed acknowledgements cost a TLS client 40 ms a request.
        let _ = socket.set_nodelay(true);
        let socket = Arc::new(socket);
        live.0.lock().unwrap().insert(number, Arc::clone(&socket));
        let (tls, state, live) = (tls.cloned(), Arc::clone(state), Arc::clone(live));
        let spawned = thread::Builder::new().name(format!("workspace connection {number}")).spawn(move || {
            let stream = Stream::new(socket, tls);
            let connection = Connection { state: &state, plane, number };
            let end = connection.serve(stream);
            // The list holds the socket too: it is closed for good only after both let go.
            live.0.lock().unwrap().remove(&number);
            drop(end);
        });
        drop(spawned.expect("a thread can be started"));
    }
}

/// One side of a connection that several owners may hold.
#[derive(Debug)]
struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ServerConnection, Socket>>),
}

impl Stream {
    fn new(socket: Arc<TcpStream>, tls: Option<Arc<ServerConfig>>) -> Stream {
        match tls {
            None => Stream::Plain(Socket(socket)),
            Some(config) => {
                let session = ServerConnection::new(config).expect("the TLS settings are sound");
                Stream::Tls(Box::new(StreamOwned::new(session, Socket(socket))))
            }
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => &socket.0,
            Stream::Tls(stream) => &stream.sock.0,
        }
    }

    /// Ends the connection so that the client gets every byte sent: says goodbye, then waits for
    /// the client to close, because closing over unread bytes would be a reset.
    fn finish(&mut self) {
        if let Stream::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
        let _ = self.socket().set_read_timeout(Some(Duration::from_secs(1)));
        let mut rest = [0; 4096];
        let mut socket = self.socket();
        // A client that never stops sending is cut off in the end.
        for _ in 0..1024 {
            if !matches!(socket.read(&mut rest), Ok(1..)) {
                break;
            }
        }
    }

    /// Makes the coming close a TCP reset, which drops what is still under way.
    fn reset(&self) {
        let _ = socket2::SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }

    /// Waits until the other side, or the end of the workspace, closes the connection.
    fn hold(&mut self) {
        let mut ignored = [0; 4096];
        while matches!(self.read(&mut ignored), Ok(1..)) {}
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// What to do with the connection after a reply.
#[derive(Debug, PartialEq, Eq)]
enum After {
    KeepAlive,
    /// Close in good order.
    Close,
    /// Just let go of it.
    Drop,
}

#[derive(Debug)]
struct Connection<'a> {
    state: &'a State,
    plane: Plane,
    number: u64,
}

impl Connection<'_> {
    /// Answers requests until the connection ends; gives the stream back to be closed.
    fn serve(&self, mut stream: Stream) -> Stream {
        let mut reader = Reader::default();
        loop {
            let after = match reader.request(&mut stream, self.plane, self.number) {
                Ok(request) => {
                    let number = self.state.log.push(&request);
                    self.answer(&mut stream, &request, number).unwrap_or(After::Drop)
                }
                Err(Unread::Closed) => After::Drop,
                Err(Unread::Malformed { status, reason, seen }) => {
                    let log = &self.state.log;
                    log.push_malformed(&seen, status, self.plane, self.number);
                    let reply = Response::error(status, "BAD_REQUEST", reason);
                    let now = self.state.clock.now_seconds();
                    let _ = reply.send(&mut stream, now, true, false);
                    After::Close
                }
            };
            match after {
                After::KeepAlive => {}
                After::Close => {
                    stream.finish();
                    return stream;
                }
                After::Drop => return stream,
            }
        }
    }

    fn answer(&self, stream: &mut Stream, request: &Request, number: u64) -> io::Result<After> {
        let state = self.state;
        let fault = state.faults.take(request);
        let delay = fault.as_ref().map_or(Duration::ZERO, |fault| fault.delay);
        if state.stop.sleep(delay) {
            return Ok(After::Drop);
        }
        let effect = fault.map_or(Effect::Pass, |fault| fault.effect);
        match &effect {
            Effect::Silence => {
                stream.hold();
                return Ok(After::Drop);
            }
            Effect::ResetBefore => {
                stream.reset();
                return Ok(After::Drop);
            }
            Effect::EndlessHeaders => {
                state.log.answered(number, 200);
                return endless_headers(stream);
            }
            _ => {}
        }
        let reply = match effect {
            Effect::Reply(ref reply) => reply.clone(),
            _ => api::answer(super::ROUTES, state, request),
        };
        let close = request.close || reply.ends_connection();
        let head_only = request.method == "HEAD";
        let now = state.clock.now_seconds();
        if matches!(effect, Effect::ResetAfter) {
            stream.reset();
            return Ok(After::Drop);
        }
        if let Effect::Held(gate) = &effect
            && !gate.pass(|| state.stop.sleep(Duration::ZERO))
        {
            return Ok(After::Drop);
        }
        // Before the bytes: whoever has the reply in hand finds its status in the log.
        state.log.answered(number, reply.status);
        match effect {
            Effect::HalfBody => {
                let (bytes, body_at) = reply.encode(now, close, head_only);
                let half = match &reply.body {
                    Body::Bytes(body) => body_at + body.len() / 2,
                    Body::Repeated(_) => body_at,
                };
                stream.write_all(&bytes[..half.min(bytes.len())])?;
                if let (Body::Repeated(body), false) = (&reply.body, head_only) {
                    body.send_half(stream)?;
                }
                stream.flush()?;
                // No TLS goodbye: the connection breaks, it does not end.
                let _ = stream.socket().shutdown(Shutdown::Write);
                return Ok(After::Drop);
            }
            Effect::Drip(interval) => {
                let (bytes, _) = reply.encode(now, close, head_only);
                for byte in bytes {
                    stream.write_all(&[byte])?;
                    stream.flush()?;
                    if state.stop.sleep(interval) {
                        return Ok(After::Drop);
                    }
                }
            }
            _ => reply.send(stream, now, close, head_only)?,
        }
        Ok(if close { After::Close } else { After::KeepAlive })
    }
}

fn endless_headers(stream: &mut Stream) -> io::Result<After> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
    let block = "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(256);
    loop {
        stream.write_all(block.as_bytes())?;
        stream.flush()?;
    }
}
