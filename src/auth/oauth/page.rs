//! What the browser shows at the end. Nothing that came in with a request is in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// Where the browser is sent with the callback, so that the code leaves the address bar and the history.
pub(crate) const PATH: &str = "/done";

const STYLE: &str = ":root{color-scheme:light dark}\
body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.0625rem/1.6 system-ui,sans-serif;background:#f6f7f9;color:#16202a}\
main{box-sizing:border-box;max-width:36rem;margin:1rem;padding:2rem 2.5rem;background:#fff;border:1px solid #d5dae0;border-left:.375rem solid #19704a;border-radius:.5rem}\
main.failed{border-left-color:#b3261e}\
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}\
p{margin:.5rem 0}\
strong{overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){body{background:#12171c;color:#e7ecf0}main{background:#1b232b;border-color:#36424d;border-left-color:#4cc38a}main.failed{border-left-color:#ff897d}}";

/// A page with one thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page<'a> {
    /// The sign-in is done and kept.
    SignedIn { host: &'a str },
    /// It is not; the terminal says why.
    Failed { host: &'a str },
    /// The page that led here goes on: it says how it went.
    Back { link: &'a str },
    /// A request that is none of ours, as a person sees it who opened an old link.
    Stranger,
}

impl Page<'_> {
    fn is_good(&self) -> bool {
        matches!(self, Self::SignedIn { .. } | Self::Back { .. })
    }

    /// The whole document.
    fn html(&self) -> String {
        let (heading, text) = match self {
            Self::SignedIn { host } => (
                "You are signed in",
                format!("<p>The command line can now work with <strong>{}</strong> in your name.</p>\n<p>You can close this tab and go back to the terminal.</p>", escaped(host)),
            ),
            Self::Failed { host } => (
                "The sign-in did not work",
                format!("<p>The command line is not signed in to <strong>{}</strong>.</p>\n<p>The terminal says why, and what to try next. You can close this tab.</p>", escaped(host)),
            ),
            Self::Back { link } => {
                let link = escaped(link);
                ("One moment", format!("<meta http-equiv=\"refresh\" content=\"0;url={link}\">\n<p>The browser goes back by itself. If it does not: <a href=\"{link}\">go back</a></p>"))
            }
            Self::Stranger => (
                "This link is not for the sign-in under way",
                "<p>It belongs to another or an older sign-in, or it is not complete. Nothing was done.</p>\n<p>Use the link that the terminal shows, or start again there.</p>".to_owned(),
            ),
        };
        let class = if self.is_good() { "" } else { " class=\"failed\"" };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{heading} · databricks command line</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main{class}>\n<h1>{heading}</h1>\n{text}\n</main>\n</body>\n</html>\n"
        )
    }

    /// The reply that shows it. The page may load nothing, run nothing, be framed by nobody and be kept nowhere.
    pub(crate) fn reply(&self) -> Vec<u8> {
        let status = if self.is_good() { "200 OK" } else { "400 Bad Request" };
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        let policy = format!(
            "Content-Security-Policy: default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
             Content-Type: text/html; charset=utf-8\r\n"
        );
        reply(status, &policy, &self.html())
    }
}

/// A reply that ends its connection; `headers` are whole lines.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
         X-Frame-Options: DENY\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Text as it stands in HTML, also within quotes.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_for_everybody_and_load_nothing() {
        let host = "https://a&b.example/<script>";
        for (page, status) in [(Page::SignedIn { host }, "200"), (Page::Failed { host }, "400"), (Page::Stranger, "400")] {
            let reply = String::from_utf8(page.reply()).unwrap();
            let (head, body) = reply.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            for line in ["Cache-Control: no-store", "Referrer-Policy: no-referrer", "Content-Security-Policy: default-src 'none'; style-src 'sha256-"] {
                assert!(head.contains(line), "{line} is missing in {head}");
            }
            assert!(head.contains(&format!("Content-Length: {}", body.len())));
            for part in ["<html lang=\"en\">", "<title>", "<main", "<h1>", "<meta name=\"viewport\""] {
                assert_eq!(body.matches(part).count(), 1, "{part}");
            }
            for active in ["<script", "http-equiv", "src=", "href=", "url("] {
                assert!(!body.contains(active), "{active}");
            }
        }
    }

    #[test]
    fn the_hash_is_that_of_the_style_in_the_page() {
        let reply = String::from_utf8(Page::Stranger.reply()).unwrap();
        let style = reply.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(reply.contains(&STANDARD.encode(digest(&SHA256, style.as_bytes()))));
    }
}
