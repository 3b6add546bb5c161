//! Which program holds a port, told from `/proc`: for the message that the port is taken.

/// Words such as ` by python3 (process 123)`; empty where the system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn of(port: u16) -> String {
    let sockets: Vec<(String, u32)> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|table| table.lines().filter_map(|line| listening(line, port)).collect::<Vec<_>>())
        .collect();
    let Some((_, user)) = sockets.first() else { return String::new() };
    match sockets.iter().find_map(|(inode, _)| process(&format!("socket:[{inode}]"))) {
        Some((name, id)) => format!(" by {} (process {id})", crate::text::one_line(&name)),
        None if *user != rustix::process::geteuid().as_raw() => format!(" by a program of another user (uid {user})"),
        None => String::new(),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_: u16) -> String {
    String::new()
}

/// Inode and user of a socket that listens on the port, from a line of the kernel's table (`proc_net_tcp(5)`).
#[cfg(target_os = "linux")]
fn listening(line: &str, port: u16) -> Option<(String, u32)> {
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace();
    let (_, local) = words.nth(1)?.rsplit_once(':')?;
    let state = words.nth(1)?;
    let user = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?;
    (state == LISTEN && u16::from_str_radix(local, 16) == Ok(port)).then(|| (inode.to_owned(), user))
}

/// Name and number of a process that has this file open; only those of the same user can be looked into.
#[cfg(target_os = "linux")]
fn process(socket: &str) -> Option<(String, String)> {
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let id = entry.file_name().into_string().unwrap_or_default();
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        if files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket)) {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((name.trim_end().to_owned(), id));
        }
    }
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = of(port);
        assert!(said.starts_with(" by ") && said.ends_with(&format!("(process {})", std::process::id())), "{said:?}");
        drop(listener);
        assert_eq!(of(port), "");
    }

    #[test]
    fn only_listening_sockets_count() {
        let line = "   0: 0100007F:1F54 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 424242 1 0000 100 0 0 10 0";
        assert_eq!(listening(line, 8020), Some(("424242".into(), 1000)));
        assert_eq!(listening(line, 8021), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), 8020), None);
        assert_eq!(listening("  sl  local_address rem_address   st", 8020), None);
    }
}
