//! Clients of a broker: `raw load CLIENTS SECONDS [RATE]` asks the address in `BENCH_URL` for the host in `BENCH_HOST`, over one connection each, from one thread.
//!
//! Without a rate every client asks again as soon as it has its answer. With one, requests fall due at that many a second, and each waits from the moment when it was due,
//! also where no client was free to send it. Prints one line of JSON; microseconds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

struct Client {
    stream: TcpStream,
    came: Vec<u8>,
    /// When the answer under way was due; `None` while nothing is.
    asked: Option<Instant>,
}

impl Client {
    fn ask(&mut self, request: &[u8], due: Instant) {
        self.stream.write_all(request).expect("a request is taken at once");
        self.asked = Some(due);
    }

    /// Takes in what came; how long the answer took if it is whole.
    fn read(&mut self, buffer: &mut [u8]) -> Option<Duration> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => panic!("the broker closed a connection"),
                Ok(count) => self.came.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            }
            let Some(head) = super::find(&self.came, b"\r\n\r\n") else { continue };
            let key = b"Content-Length: ";
            let at = super::find(&self.came[..head], key).expect("a length") + key.len();
            let length = self.came[at..head].iter().take_while(|byte| byte.is_ascii_digit()).fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            if self.came.len() < head + 4 + length {
                continue;
            }
            assert!(self.came.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.came));
            self.came.clear();
            return self.asked.take().map(|due| due.elapsed());
        }
    }
}

pub(crate) fn run(words: &[String]) {
    let number = |place: usize| words.get(place).map(|word| word.parse::<u32>().expect("a number"));
    let (count, seconds, rate) = (number(0).expect("clients"), number(1).expect("seconds"), number(2));
    let url = std::env::var("BENCH_URL").expect("BENCH_URL");
    let host = std::env::var("BENCH_HOST").expect("BENCH_HOST");
    let (authority, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address");
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nX-Databricks-Metadata-Version: 1\r\nX-Databricks-Host: {host}\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"
    );
    let mut clients: Vec<Client> = (0..count)
        .map(|_| {
            let stream = TcpStream::connect(authority).expect("a connection");
            stream.set_nodelay(true).expect("TCP_NODELAY");
            stream.set_nonblocking(true).expect("non-blocking");
            Client { stream, came: Vec::new(), asked: None }
        })
        .collect();
    let mut took: Vec<u32> = Vec::with_capacity(1 << 22);
    let mut buffer = vec![0; 16 * 1024];
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds.into());
    let pace = rate.map(|rate| Duration::from_secs(1) / rate);
    let mut due = started;
    loop {
        let now = Instant::now();
        if now >= until {
            break;
        }
        match pace {
            None => clients.iter_mut().filter(|client| client.asked.is_none()).for_each(|client| client.ask(request.as_bytes(), now)),
            Some(pace) => {
                for client in clients.iter_mut().filter(|client| client.asked.is_none()) {
                    if due > now {
                        break;
                    }
                    client.ask(request.as_bytes(), due);
                    due += pace;
                }
            }
        }
        let waiting: Vec<usize> = (0..clients.len()).filter(|place| clients[*place].asked.is_some()).collect();
        let mut sources: Vec<PollFd<'_>> = waiting.iter().map(|place| PollFd::from_borrowed_fd(clients[*place].stream.as_fd(), PollFlags::IN)).collect();
        // With a rate it looks again at once: the next request may be due.
        let limit = if pace.is_some() { Timespec { tv_sec: 0, tv_nsec: 0 } } else { Timespec { tv_sec: 1, tv_nsec: 0 } };
        let _ready = poll(&mut sources, Some(&limit)).expect("poll");
        let ready: Vec<usize> = sources.iter().zip(&waiting).filter(|(source, _)| !source.revents().is_empty()).map(|(_, place)| *place).collect();
        drop(sources);
        for place in ready {
            if let Some(time) = clients[place].read(&mut buffer) {
                took.push(u32::try_from(time.as_nanos() / 100).unwrap_or(u32::MAX));
            }
        }
    }
    let spent = started.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a list")]
        let place = ((took.len() - 1) as f64 * share) as usize;
        f64::from(took[place]) / 10.0
    };
    #[expect(clippy::cast_precision_loss, reason = "millions at most")]
    let each_second = took.len() as f64 / spent;
    println!(
        "{{\"answers\": {}, \"rate\": {each_second:.0}, \"p50\": {:.1}, \"p99\": {:.1}, \"p999\": {:.1}, \"most\": {:.1}}}",
        took.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
