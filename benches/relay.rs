//! A relay between two TCP connections that only copies, `relay PORT TO`: the floor under the local door of Lakebase, which adds TLS and logins to it.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let mut ports = std::env::args().skip(1).map_while(|word| word.parse::<u16>().ok());
    let (Some(port), Some(to)) = (ports.next(), ports.next()) else { return Err(io::Error::other("usage: relay PORT TO")) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (mut client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
                server.set_nodelay(true)?;
                copy_bidirectional_with_sizes(&mut client, &mut server, 4 << 10, 16 << 10).await
            });
        }
    })
}
