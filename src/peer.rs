//! The user behind a connection over loopback, as the kernel knows it.
//!
//! It keeps other users of the machine out, not other programs of the same user.

use std::net::TcpStream;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// This user, or the superuser, who may do everything anyway; or nobody knows: then nobody is told apart.
    Own,
    /// The user of this number.
    Stranger(u32),
    /// Nobody holds the other end any more, so nobody will read an answer.
    Gone,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn of(stream: &TcpStream) -> Peer {
    let (Ok(own), Ok(other)) = (stream.local_addr(), stream.peer_addr()) else { return Peer::Gone };
    match system::holder(other, own) {
        Some(system::Holder::Is(user)) if user != rustix::process::geteuid().as_raw() && user != 0 => Peer::Stranger(user),
        Some(system::Holder::None) => Peer::Gone,
        _ => Peer::Own,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn of(_: &TcpStream) -> Peer {
    Peer::Own
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::net::{IpAddr, SocketAddr};

    use rustix::io::Errno;
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

    /// Who holds a socket.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Holder {
        Is(u32),
        /// It is closed, or there is none.
        None,
    }

    /// The holder of the socket at one address that is connected to another. `None` if the system does not say.
    pub(super) fn holder(local: SocketAddr, remote: SocketAddr) -> Option<Holder> {
        asked(local, remote).or_else(|| listed(local, remote))
    }

    const LENGTH: usize = 72;
    const BY_FAMILY: u16 = 20;
    const ERROR: u16 = 2;

    /// By asking for this one socket (`sock_diag(7)`), which costs nothing however many there are.
    fn asked(local: SocketAddr, remote: SocketAddr) -> Option<Holder> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(netlink::SOCK_DIAG)).ok()?;
        send(&socket, &question(local, remote), SendFlags::empty()).ok()?;
        let mut answer = [0; 512];
        // The kernel answers before the question's call is over.
        let (_, length) = recv(&socket, &mut answer[..], RecvFlags::empty()).ok()?;
        read(answer.get(..length)?)
    }

    /// `nlmsghdr` and `inet_diag_req_v2` of `linux/netlink.h` and `linux/inet_diag.h`.
    fn question(local: SocketAddr, remote: SocketAddr) -> [u8; LENGTH] {
        const REQUEST: u16 = 1;
        const TCP: u8 = 6;
        let mut bytes = [0; LENGTH];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &u32::try_from(LENGTH).unwrap_or(0).to_ne_bytes());
        put(4, &BY_FAMILY.to_ne_bytes());
        put(6, &REQUEST.to_ne_bytes());
        let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        put(16, &[u8::try_from(family.as_raw()).unwrap_or(0), TCP]);
        put(20, &u32::MAX.to_ne_bytes());
        for (port, place, address) in [(24, 28, local), (26, 44, remote)] {
            put(port, &address.port().to_be_bytes());
            match address.ip() {
                IpAddr::V4(ip) => put(place, &ip.octets()),
                IpAddr::V6(ip) => put(place, &ip.octets()),
            }
        }
        // No cookie: the addresses are enough.
        put(64, &[0xff; 8]);
        bytes
    }

    /// The user and the inode at the end of `inet_diag_msg`, or the error in its place.
    fn read(answer: &[u8]) -> Option<Holder> {
        let number = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
        match u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?) {
            BY_FAMILY => Some(if number(84)? == 0 { Holder::None } else { Holder::Is(number(80)?) }),
            ERROR if number(16)?.cast_signed() == -Errno::NOENT.raw_os_error() => Some(Holder::None),
            _ => None,
        }
    }

    /// By looking through all connections of the machine (`proc_net_tcp(5)`), where the kernel answers no such questions.
    fn listed(local: SocketAddr, remote: SocketAddr) -> Option<Holder> {
        let tables: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        let ends = tables.iter().flat_map(|table| table.lines()).filter_map(|line| end(line, local.port(), remote.port()));
        // By the ports alone: where both families have such a pair, the stranger of the two counts.
        let found = ends.max_by_key(|holder| match holder {
            Holder::None => u64::MAX,
            Holder::Is(user) if *user == rustix::process::geteuid().as_raw() => 0,
            Holder::Is(user) => u64::from(*user) + 1,
        });
        found.or_else(|| (!tables.is_empty()).then_some(Holder::None))
    }

    fn end(line: &str, local: u16, remote: u16) -> Option<Holder> {
        let mut words = line.split_whitespace();
        let port = |address: &str| address.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        let is_it = port(words.nth(1)?) == Some(local) && port(words.next()?) == Some(remote);
        let user = words.nth(4)?.parse().ok()?;
        let inode = words.nth(1)?;
        is_it.then(|| if inode == "0" { Holder::None } else { Holder::Is(user) })
    }

    #[cfg(test)]
    mod tests {
        use std::net::{TcpListener, TcpStream};

        use super::*;

        #[test]
        fn the_line_of_the_other_end_tells_its_user() {
            let line = "   9: 0100007F:C350 0100007F:1F54 01 00000000:00000000 00:00000000 00000000  1000        0 424242 1 0000 20 4 30 10 -1";
            assert_eq!(end(line, 50_000, 8020), Some(Holder::Is(1000)));
            assert_eq!(end(line, 8020, 50_000), None);
            assert_eq!(end(&line.replace("424242", "0"), 50_000, 8020), Some(Holder::None));
            assert_eq!(end("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", 1, 2), None);
        }

        #[test]
        fn both_ways_know_our_own_connections_and_those_that_are_closed() {
            let own = Some(Holder::Is(rustix::process::geteuid().as_raw()));
            for address in ["127.0.0.1:0", "[::1]:0"] {
                let Ok(listener) = TcpListener::bind(address) else { continue };
                let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (server, _) = listener.accept().unwrap();
                let (here, there) = (server.local_addr().unwrap(), server.peer_addr().unwrap());
                assert_eq!((asked(there, here), listed(there, here)), (own, own));
                assert_eq!(super::super::of(&server), super::super::Peer::Own);
                drop(client);
                assert_eq!((asked(there, here), listed(there, here)), (Some(Holder::None), Some(Holder::None)));
                assert_eq!(super::super::of(&server), super::super::Peer::Gone);
            }
        }
    }
}
