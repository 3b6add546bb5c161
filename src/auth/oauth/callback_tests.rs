//! The listener against real sockets: browsers, strangers and attackers.

use std::sync::mpsc;
use std::thread;

use super::*;

/// A listener on free ports of its own, so that tests do not meet.
fn listener() -> Listener {
    listener_until(Instant::now() + Duration::from_secs(30))
}

fn listener_until(deadline: Instant) -> Listener {
    let named = Env::default().with(env::OAUTH_CALLBACK_PORT, &free_port().to_string());
    Listener::open(&named, State::new().unwrap(), deadline).unwrap()
}

fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if TcpListener::bind(("::1", port)).is_ok() {
            return port;
        }
    }
}

/// Sends bytes and gives everything that comes back.
fn talk(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // A server that does not want it all may close before it has it.
    let _refused = stream.write_all(bytes);
    let mut reply = Vec::new();
    let _reset = stream.read_to_end(&mut reply);
    String::from_utf8(reply).unwrap()
}

fn get(port: u16, target: &str) -> String {
    talk(port, format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes())
}

fn status(reply: &str) -> &str {
    reply.split(' ').nth(1).unwrap_or("none")
}

fn code_of(answer: Option<Answer>) -> String {
    match answer {
        Some(Answer::Granted(callback)) => callback.code.expose().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_browser_brings_the_code_and_sees_the_page_at_an_address_without_it() {
    let mut listener = listener();
    let (port, state) = (listener.port(), listener.state().as_parameter().to_owned());
    let browser = thread::spawn(move || {
        let first = get(port, &format!("/?code=c%2Bo%20de&state={state}&iss=https%3A%2F%2Fh.example%2Foidc"));
        let target = first.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().to_owned();
        (first, get(port, &target))
    });
    match listener.wait() {
        Some(Answer::Granted(callback)) => {
            assert_eq!((callback.code.expose(), callback.iss.as_deref()), ("c+o de", Some("https://h.example/oidc")));
        }
        other => panic!("{other:?}"),
    }
    listener.conclude(&Page::SignedIn { host: "https://h.example" }, Duration::from_secs(20));
    let (first, page) = browser.join().unwrap();
    assert_eq!(status(&first), "303");
    assert!(first.contains("Location: /done\r\n") && first.contains("Cache-Control: no-store"), "{first}");
    assert_eq!(status(&page), "200");
    assert!(page.contains("<h1>You are signed in</h1>") && page.contains("https://h.example"), "{page}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port is free again");
}

#[test]
fn a_refusal_is_an_answer_and_safe_to_show() {
    let mut listener = listener();
    let (port, state) = (listener.port(), listener.state().as_parameter().to_owned());
    let browser = thread::spawn(move || get(port, &format!("/?error=access_denied&error_description=%1b%5d0;pwned%07%3Cscript%3E&state={state}")));
    match listener.wait() {
        Some(Answer::Denied(denied)) => assert_eq!(denied.to_string(), "access_denied: \\u{1b}]0;pwned\\u{7}<script>"),
        other => panic!("{other:?}"),
    }
    assert!(!browser.join().unwrap().contains("pwned"));
}

#[test]
fn ten_thousand_strangers_change_nothing() {
    let mut listener = listener();
    let (port, state) = (listener.port(), listener.state().as_parameter().to_owned());
    let strangers = thread::spawn(move || {
        let own = format!("Host: localhost:{port}\r\n\r\n");
        let wrong = "x".repeat(43);
        let kinds = [
            ("404", format!("GET /favicon.ico HTTP/1.1\r\n{own}")),
            ("400", format!("GET / HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?code=evil HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?code=evil&state={wrong} HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?error=access_denied&state={wrong} HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?error=access_denied HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?code=evil&state={state}&state={wrong} HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?code=evil&code=other&state={state} HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?state={state} HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?code=%zz&state={state} HTTP/1.1\r\n{own}")),
            ("404", format!("GET /x?code=evil&state={state} HTTP/1.1\r\n{own}")),
            ("404", format!("GET /done HTTP/1.1\r\n{own}")),
            ("405", format!("POST /?code=evil&state={state} HTTP/1.1\r\nContent-Length: 0\r\n{own}")),
            ("405", format!("HEAD /?code=evil&state={state} HTTP/1.1\r\n{own}")),
            ("400", format!("GET /?code=evil&state={state} HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n")),
            ("400", format!("GET /?code=evil&state={state} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
            ("400", format!("GET /?code=evil&state={state} HTTP/1.1\r\n\r\n")),
            ("400", format!("GET /?code=evil&state={state} HTTP/1.1\r\nHost: localhost:{port}\r\nHost: evil\r\n\r\n")),
            ("400", format!("GET http://localhost:{port}/?code=evil&state={state} HTTP/1.1\r\n{own}")),
            ("400", "SSH-2.0-probe\r\n\r\n".to_owned()),
            ("400", "\u{16}\u{3}\u{1}\r\n\r\n".to_owned()),
        ];
        for (expected, request) in kinds.iter().cycle().take(10_000) {
            let reply = talk(port, request.as_bytes());
            assert_eq!(status(&reply), *expected, "{request} {reply}");
            assert!(!reply.contains("evil") && !reply.contains(&wrong), "{reply}");
        }
        // One megabyte, 200 connections that say nothing, half a request, and one that closes at once.
        assert_eq!(status(&get(port, &format!("/?code={}", "a".repeat(1 << 20)))), "431");
        let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        let mut half = TcpStream::connect(("::1", port)).unwrap();
        half.write_all(format!("GET /?code=half&state={state} HTTP/1.1\r\n").as_bytes()).unwrap();
        drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
        let right = get(port, &format!("/?code=right&state={state}"));
        drop((idle, half));
        right
    });
    assert_eq!(code_of(listener.wait()), "right");
    assert!(listener.connections.len() <= MOST_CONNECTIONS);
    assert_eq!(status(&strangers.join().unwrap()), "303");
}

#[test]
fn a_second_callback_is_told_the_same_and_taken_for_nothing() {
    let mut listener = listener();
    let (port, state) = (listener.port(), listener.state().as_parameter().to_owned());
    let (first_is_done, second_may_come) = mpsc::channel();
    let browser = thread::spawn(move || {
        get(port, &format!("/?code=one&state={state}"));
        second_may_come.recv().unwrap();
        let replies = [get(port, &format!("/?code=two&state={state}")), get(port, "/favicon.ico")];
        (replies.map(|reply| status(&reply).to_owned()), get(port, page::PATH))
    });
    assert_eq!(code_of(listener.wait()), "one");
    first_is_done.send(()).unwrap();
    listener.conclude(&Page::Failed { host: "https://h.example" }, Duration::from_secs(20));
    let (replies, page) = browser.join().unwrap();
    assert_eq!(replies, ["303", "404"]);
    assert!(page.contains("<h1>The sign-in did not work</h1>") && status(&page) == "400", "{page}");
}

#[test]
fn slow_requests_are_read_piece_by_piece() {
    let mut listener = listener();
    let (port, state) = (listener.port(), listener.state().as_parameter().to_owned());
    let browser = thread::spawn(move || {
        let request = format!("GET /?code=slow&state={state} HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n");
        let mut stream = TcpStream::connect(("::1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in request.bytes() {
            stream.write_all(&[byte]).unwrap();
        }
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    });
    assert_eq!(code_of(listener.wait()), "slow");
    drop(listener);
    assert_eq!(status(&browser.join().unwrap()), "303");
}

#[test]
fn the_wait_ends_with_its_time() {
    let started = Instant::now();
    let mut listener = listener_until(started + Duration::from_millis(30));
    let _idle = TcpStream::connect(("127.0.0.1", listener.port())).unwrap();
    assert!(listener.wait().is_none());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_browser_that_never_comes_for_the_page_is_not_waited_for_long() {
    let mut listener = listener();
    let (port, state) = (listener.port(), listener.state().as_parameter().to_owned());
    let browser = thread::spawn(move || get(port, &format!("/?code=c&state={state}")));
    assert_eq!(code_of(listener.wait()), "c");
    assert_eq!(status(&browser.join().unwrap()), "303");
    let started = Instant::now();
    listener.conclude(&Page::Failed { host: "https://h.example" }, Duration::from_millis(20));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn both_families_of_one_port_are_ours_or_it_is_the_next() {
    let listener = listener();
    for address in ["127.0.0.1", "::1"] {
        let taken = TcpListener::bind((address, listener.port())).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "{address}");
    }
    assert!(listener.sockets.iter().all(|socket| socket.local_addr().unwrap().ip().is_loopback()));
    drop(listener);

    // Somebody else has one family of the first port: neither is taken there.
    for family in ["127.0.0.1", "::1"] {
        let first = (0..100).map(|_| free_port()).find(|port| *port < u16::MAX && bind(port + 1).is_ok()).unwrap();
        let _theirs = TcpListener::bind((family, first)).unwrap();
        let (port, sockets) = Listener::first_of(first..=first + 1).unwrap();
        assert_eq!((port, sockets.len()), (first + 1, 2), "{family}");
    }
}

#[test]
fn a_named_port_has_no_other_and_its_holder_is_named() {
    let port = free_port();
    let _theirs = TcpListener::bind(("::1", port)).unwrap();
    let named = |value: &str| Env::default().with(env::OAUTH_CALLBACK_PORT, value);
    let open = |value: &str| Listener::open(&named(value), State::new().unwrap(), Instant::now()).unwrap_err().to_string();
    let said = open(&port.to_string());
    assert!(said.starts_with(&format!("port {port}, which DATABRICKS_OAUTH_CALLBACK_PORT names, is in use")), "{said}");
    #[cfg(target_os = "linux")]
    assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
    for wrong in ["0", "x", "65536", "-1"] {
        assert!(open(wrong).ends_with("it takes a port from 1 to 65535"), "{wrong}");
    }
}

#[test]
fn pasted_addresses_pass_the_same_check() {
    let state = State::new().unwrap();
    let own = state.as_parameter();
    let query = format!("code=abc&state={own}");
    for pasted in [
        format!("http://localhost:8020/?{query}"),
        format!("  http://127.0.0.1:8020?{query}\n"),
        format!("HTTP://[::1]:8020/?{query}#fragment"),
        format!("/?{query}"),
        format!("?{query}"),
        query.clone(),
    ] {
        assert_eq!(code_of(read_pasted(&pasted, 8020, &state).ok()), "abc", "{pasted}");
    }
    for (pasted, said) in [
        (format!("http://localhost:8021/?{query}"), "the address to paste begins with http://localhost:8020/?"),
        (format!("https://localhost:8020/?{query}"), "the address to paste begins with http://localhost:8020/?"),
        (format!("http://evil.example:8020/?{query}"), "the address to paste begins with http://localhost:8020/?"),
        ("http://localhost:8020/".to_owned(), "paste the whole address, which begins with http://localhost:8020/?"),
        ("abc".to_owned(), "paste the whole address, which begins with http://localhost:8020/?"),
        (String::new(), "paste the whole address, which begins with http://localhost:8020/?"),
        ("code=abc".to_owned(), "this address belongs to another sign-in, or its end is missing"),
        (format!("code=abc&state={}", &own[1..]), "this address belongs to another sign-in, or its end is missing"),
        (format!("state={own}"), "this address holds neither a code nor an error"),
    ] {
        assert_eq!(read_pasted(&pasted, 8020, &state).unwrap_err(), said, "{pasted}");
    }
    assert!(matches!(read_pasted(&format!("error=access_denied&state={own}"), 8020, &state), Ok(Answer::Denied(_))));
}

proptest::proptest! {
    /// Whatever comes in, nothing but the right state is taken, and nothing panics.
    #[test]
    fn no_bytes_get_past_the_state(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), query in ".*") {
        let state = State::new().unwrap();
        proptest::prop_assert!(read_query(&query, &state).is_err());
        if let Some(head) = Head::parse(&bytes) {
            proptest::prop_assert!(head.target.starts_with('/'));
        }
    }
}
