//! The page as HTML. It works without its script; what comes from elsewhere is escaped.

use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::board::{Choice, Stage};
use super::guard::{PROOF, Refusal};
use crate::auth::oauth::page::escaped;
use crate::broker::session::Description;
use crate::clock;
use crate::commands::session::until;
use crate::commands::session::workspaces::Configured;
use crate::text;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// All that is shown.
pub(super) struct View<'v> {
    pub(super) stage: &'v Stage,
    pub(super) note: Option<&'v str>,
    /// Names and hosts of the profiles.
    pub(super) profiles: &'v [(String, String)],
    /// Those that are configured for everybody on this machine.
    pub(super) configured: &'v [Configured],
    pub(super) sessions: &'v [(Description, PathBuf)],
    /// What stands before the names of the places, and in every form.
    pub(super) place: &'v str,
    pub(super) proof: &'v str,
    /// Where sign-ins are remembered, and what could not be read there.
    pub(super) trouble: Option<&'v str>,
}

/// One line, as it stands in HTML.
fn shown(text: &str) -> String {
    escaped(&text::one_line(&text::shortened(text, 600)))
}

/// A whole reply. `headers` are whole lines.
pub(super) fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let hash = |part: &str| STANDARD.encode(digest(&SHA256, part.as_bytes()));
    // The referrer stays on this page, and those of links do not: without any, browsers would not name the origin of a form either.
    let referrer = if body.contains("<form") { "same-origin" } else { "no-referrer" };
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: {referrer}\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nCross-Origin-Opener-Policy: same-origin\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n\r\n{body}",
        body.len(),
        hash(STYLE),
        hash(SCRIPT)
    )
    .into_bytes()
}

fn document(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title} · databricks</title>\n\
         <style>{STYLE}</style>\n{head}</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// A page with one thing to say.
fn plain(status: &str, heading: &str, body: &str) -> Vec<u8> {
    reply(status, "", &document(heading, "", &format!("<main>\n<section class=\"bad\">\n<h1>{heading}</h1>\n{body}\n</section>\n</main>\n")))
}

/// Leads the browser on from this page itself: a redirect would count as one by whoever led here, and the cookie would stay behind.
pub(super) fn onward(headers: &str, link: &str, heading: &str, text: &str) -> Vec<u8> {
    let link = escaped(link);
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={link}\">\n");
    let body = format!("<main>\n<section>\n<h1>{heading}</h1>\n<p>{text} <a href=\"{link}\">Go on</a></p>\n</section>\n</main>\n");
    reply("200 OK", headers, &document(heading, &head, &body))
}

pub(super) fn see(place: &str) -> Vec<u8> {
    reply("303 See Other", &format!("Location: {place}\r\n"), "")
}

pub(super) fn closed() -> Vec<u8> {
    let text = "<p>Sessions go on. To have the page again: <code>databricks session home</code></p>";
    reply(
        "200 OK",
        "",
        &document("The page has ended", "", &format!("<main>\n<section class=\"good\">\n<h1>The page has ended</h1>\n{text}\n</section>\n</main>\n")),
    )
}

pub(super) fn refusal(refusal: Refusal) -> Vec<u8> {
    const ANOTHER: &str = "<p>For another link press Enter in the terminal where <code>databricks session home</code> runs, or start it again.</p>";
    let (status, heading, text) = match refusal {
        Refusal::Broken => ("400 Bad Request", "This is no request that can be read here", ""),
        Refusal::TooLarge => ("413 Content Too Large", "This request is too large", ""),
        Refusal::Method => ("405 Method Not Allowed", "This is not done here", ""),
        Refusal::Elsewhere => {
            ("403 Forbidden", "This address belongs to no site", "<p>The page is at <code>localhost</code>, under the port that the terminal shows.</p>")
        }
        Refusal::Nothing => ("404 Not Found", "There is nothing here", ""),
        Refusal::Spent => (
            "403 Forbidden",
            "This link was used already",
            "<p>A link is good once. If it was not you who used it, end <code>databricks session home</code> with Ctrl-C.</p>",
        ),
        Refusal::Locked => ("403 Forbidden", "This browser is not let in", "<p>It has to come by the link that the terminal shows.</p>"),
        Refusal::Forged => {
            ("403 Forbidden", "Nothing was done", "<p>The request did not come from the page itself. Load the page again and repeat it there.</p>")
        }
    };
    let text = if matches!(refusal, Refusal::Spent | Refusal::Locked) { format!("{text}{ANOTHER}") } else { text.to_owned() };
    plain(status, heading, &text)
}

impl View<'_> {
    pub(super) fn html(&self) -> String {
        let is_waiting = matches!(self.stage, Stage::Working { .. } | Stage::Leading { .. });
        let title = match self.stage {
            Stage::Choosing | Stage::Without => "Choose a workspace",
            Stage::Working { .. } => "Signing in",
            Stage::Leading { .. } => "Waiting for your sign-in",
            Stage::Failed { .. } => "The sign-in did not work",
            Stage::Started { .. } => "You are signed in",
        };
        let head = if is_waiting { "<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\n" } else { "" };
        let body = format!(
            "<header>\n<h1>Databricks sessions</h1>\n<p>Sign in once, and everything you start in the session is signed in.</p>\n</header>\n<main>\n\
             <div id=\"notes\" role=\"status\">{}</div>\n<div id=\"state\" aria-live=\"polite\">{}</div>\n<div id=\"choice\">{}</div>\n<div id=\"sessions\">{}</div>\n\
             <p id=\"gone\" class=\"note\" role=\"alert\" hidden>This page has ended, and shows what was. To have it again: <code>databricks session home</code></p>\n</main>\n\
             <footer>\n<p>This page is served on this machine, for you only, and holds no token.</p>\n{}</footer>\n<script>{SCRIPT}</script>\n",
            self.notes(),
            self.state(),
            if is_waiting { String::new() } else { self.choice() },
            self.list(),
            self.form("close", "", "<button id=\"close\">Close this page</button>")
        );
        document(title, head, &body)
    }

    fn form(&self, tail: &str, fields: &str, button: &str) -> String {
        format!(
            "<form method=\"post\" action=\"{}{tail}\">\n<input type=\"hidden\" name=\"{PROOF}\" value=\"{}\">\n{fields}{button}\n</form>\n",
            self.place, self.proof
        )
    }

    fn notes(&self) -> String {
        let mut notes: Vec<String> = self.note.iter().map(|note| shown(note)).collect();
        notes.extend(self.trouble.map(|trouble| format!("The workspaces you know cannot be read: {}", shown(trouble))));
        notes.into_iter().map(|note| format!("<p class=\"note\">{note}</p>")).collect()
    }

    fn state(&self) -> String {
        match self.stage {
            Stage::Choosing => String::new(),
            Stage::Without => "<section class=\"good\">\n<h2>No workspace</h2>\n<p>Nothing is managed: no credentials are handed out, and your environment stays as it is.</p>\n</section>".into(),
            Stage::Working { choice } => {
                format!("<section class=\"wait\">\n<h2>Signing in to {} …</h2>\n<p>This takes a moment.</p>\n</section>", shown(choice.name()))
            }
            Stage::Leading { choice, until: limit, .. } => format!(
                "<section class=\"wait\">\n<h2>Waiting for your sign-in to {}</h2>\n<p>Sign in on the page of your workspace; the browser comes back here by itself. It is waited for until {}.</p>\n\
                 <div class=\"row\">\n<a class=\"button main\" id=\"go\" href=\"{}go\">Go to the sign-in page</a>\n{}</div>\n</section>",
                shown(choice.name()),
                clock::minute(*limit),
                self.place,
                self.form("cancel", "", "<button id=\"cancel\">Cancel</button>")
            ),
            Stage::Failed { choice, why, hints } => {
                let hints: String = hints.iter().map(|hint| format!("<p class=\"help\">{}</p>\n", shown(hint))).collect();
                let (host, name) = typed(choice);
                let hidden = |field: &str, value: &str| format!("<input type=\"hidden\" name=\"{field}\" value=\"{}\">\n", escaped(value));
                let fields = hidden("workspace", &choice.value()) + &hidden("host", host) + &hidden("name", name);
                let retry = self.form("start", &fields, "<button id=\"retry\" class=\"main\" autofocus>Retry</button>");
                format!(
                    "<section class=\"bad\" role=\"alert\">\n<h2>The sign-in to {} did not work</h2>\n<p class=\"why\">{}</p>\n{hints}<div class=\"row\">\n{retry}</div>\n</section>",
                    shown(choice.name()),
                    shown(why)
                )
            }
            Stage::Started { id } => match self.sessions.iter().find(|(session, _)| session.id == *id) {
                Some((session, config)) => format!(
                    "<section class=\"good\">\n<h2>You are signed in to {}</h2>\n<p>Session {} is running.</p>\n{}</section>",
                    shown(session.profile.as_deref().unwrap_or(&session.host)),
                    shown(&session.id),
                    usage(session, config)
                ),
                None => format!("<section class=\"wait\">\n<h2>Session {} has ended</h2>\n</section>", shown(id)),
            },
        }
    }

    fn choice(&self) -> String {
        // A reload shows what was chosen last.
        let chosen = match self.stage {
            Stage::Failed { choice, .. } => choice.value(),
            Stage::Without => Choice::None.value(),
            _ => String::new(),
        };
        let option = |value: &str, label: &str| {
            let selected = if value == chosen { " selected" } else { "" };
            format!("<option value=\"{}\"{selected}>{label}</option>\n", escaped(value))
        };
        let named = |choice: Choice, name: &str, host: &str| {
            let host = host.trim_start_matches("https://");
            let name = name.trim_start_matches("https://");
            let label = if name == host { shown(host) } else { format!("{} ({})", shown(name), shown(host)) };
            option(&choice.value(), &label)
        };
        let mut options: String = self.profiles.iter().map(|(name, host)| named(Choice::Profile(name.clone()), name, host)).collect();
        options.extend(self.configured.iter().map(|one| named(Choice::Configured(one.host.to_string()), &one.name, one.host.as_str())));
        options += &option("host", "Another workspace …");
        options += &option("none", "None: work without managed credentials");
        let (host, name) = if let Stage::Failed { choice, .. } = self.stage { typed(choice) } else { ("", "") };
        let focus = if matches!(self.stage, Stage::Choosing) { " autofocus" } else { "" };
        let fields = format!(
            "<label for=\"workspace\">Workspace</label>\n<select id=\"workspace\" name=\"workspace\"{focus}>\n{options}</select>\n\
             <div class=\"other\">\n<label for=\"host\">Host of the other workspace</label>\n\
             <input id=\"host\" name=\"host\" value=\"{}\" inputmode=\"url\" autocomplete=\"url\" autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"400\" aria-describedby=\"host-help\">\n\
             <p class=\"help\" id=\"host-help\">Such as https://my-workspace.cloud.databricks.com</p>\n\
             <label for=\"name\">Remember it as profile</label>\n\
             <input id=\"name\" name=\"name\" value=\"{}\" autocomplete=\"off\" autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"100\" aria-describedby=\"name-help\">\n\
             <p class=\"help\" id=\"name-help\">A name of your choice, to find it in this list. It may stay empty.</p>\n</div>\n",
            escaped(host),
            escaped(name)
        );
        let form = self.form("start", &fields, "<div class=\"row\"><button id=\"sign-in\" class=\"main\">Sign In</button></div>");
        format!("<section aria-labelledby=\"choose\">\n<h2 id=\"choose\">Start a session</h2>\n{form}</section>")
    }

    fn list(&self) -> String {
        let mut list = String::from("<section aria-labelledby=\"running\">\n<h2 id=\"running\">Running sessions</h2>\n");
        if self.sessions.is_empty() {
            list += "<p class=\"help\">None.</p>\n";
        } else {
            list += "<ul>\n";
            for (session, config) in self.sessions {
                list += &self.row(session, config);
            }
            list += "</ul>\n";
        }
        list + "</section>"
    }

    fn row(&self, session: &Description, config: &std::path::Path) -> String {
        let id = shown(&session.id);
        let mut facts = String::new();
        let mut fact = |name: &str, value: &str| {
            // A String takes everything.
            let _written = writeln!(facts, "<dt>{name}</dt><dd>{value}</dd>");
        };
        fact("Session", &format!("{id}, {}", shown(session.command.as_deref().unwrap_or("for your shells and programs"))));
        fact("Signed in", &shown(&session.auth_type));
        fact("New token", &shown(&until(session.renewal)));
        if let Some(trouble) = &session.trouble {
            fact("Trouble", &format!("The token ends {} and could not be renewed: {}", shown(&until(session.expires)), shown(trouble)));
        }
        if let Some(database) = &session.database {
            fact("Database", &format!("{}, new password {}", shown(&database.name), shown(&until(database.renewal))));
        }
        if session.until.is_some() {
            fact("Ends", &shown(&until(session.until)));
        }
        let field = format!("<input type=\"hidden\" name=\"session\" value=\"{id}\">\n");
        let end = self.form("end", &field, &format!("<button id=\"end-{id}\" class=\"end\" aria-label=\"End session {id}\">End</button>"));
        let heading = match &session.profile {
            Some(profile) if *profile != session.host => format!("{} at {}", shown(profile), shown(session.host.trim_start_matches("https://"))),
            _ => shown(session.host.trim_start_matches("https://")),
        };
        format!(
            "<li>\n<div class=\"head\">\n<h3>{heading}</h3>\n{end}</div>\n<dl>\n{facts}</dl>\n<details id=\"use-{id}\"><summary>How to work in it</summary>\n{}</details>\n</li>\n",
            usage(session, config)
        )
    }
}

/// The host and the name that were typed.
fn typed(choice: &Choice) -> (&str, &str) {
    if let Choice::Host { address, name } = choice { (address, name) } else { ("", "") }
}

/// How shells and programs get into a session.
fn usage(session: &Description, config: &std::path::Path) -> String {
    let id = shown(&session.id);
    let profile = if session.live { crate::broker::session::LIVE_PROFILE } else { crate::broker::session::PROFILE };
    let libpq = if session.database.is_some() { "<p>psql and whatever uses libpq log in to the database without being told anything.</p>\n" } else { "" };
    format!(
        "<p>In a terminal of this machine (bash, zsh):</p>\n<pre><code>eval &quot;$(databricks session env {id})&quot;</code></pre>\n\
         <p>For programs that read a profile file, profile <code>{profile}</code> in</p>\n<pre><code>{}</code></pre>\n{libpq}",
        shown(&config.display().to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    fn html(stage: &Stage, name: &str) -> String {
        let session =
            Description { id: "1a2b3c4d".into(), host: name.into(), profile: Some(name.into()), trouble: Some(name.into()), ..Description::default() };
        let (profiles, sessions) = ([(name.to_owned(), name.to_owned())], [(session, PathBuf::from(name))]);
        View { stage, note: Some(name), profiles: &profiles, configured: &[], sessions: &sessions, place: "/p/", proof: "x", trouble: Some(name) }.html()
    }

    #[test]
    fn configured_workspaces_are_chosen_by_their_host() {
        let configured = [("Team A", "https://a.example"), ("https://b.example", "https://b.example")]
            .map(|(name, host)| Configured { name: name.to_owned(), host: Host::parse(host).expect("a host") });
        let view = View { stage: &Stage::Choosing, note: None, profiles: &[], configured: &configured, sessions: &[], place: "/p/", proof: "x", trouble: None };
        let html = view.html();
        assert!(html.contains("<option value=\"configured:https://a.example\">Team A (a.example)</option>"), "{html}");
        assert!(html.contains("<option value=\"configured:https://b.example\">b.example</option>"), "{html}");
        assert_eq!(Choice::of("configured:https://a.example", "", ""), Some(Choice::Configured("https://a.example".to_owned())));
    }

    #[test]
    fn nothing_from_elsewhere_is_markup() {
        let evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J";
        let choice = Choice::Host { address: evil.to_owned(), name: evil.to_owned() };
        let until = clock::now();
        for stage in [
            Stage::Choosing,
            Stage::Without,
            Stage::Working { choice: choice.clone() },
            Stage::Leading { choice: choice.clone(), link: evil.into(), until },
            Stage::Failed { choice: choice.clone(), why: evil.into(), hints: vec![evil.into()] },
            Stage::Failed { choice: Choice::Profile(evil.into()), why: evil.into(), hints: Vec::new() },
            Stage::Started { id: "1a2b3c4d".into() },
            Stage::Started { id: evil.into() },
        ] {
            let html = html(&stage, evil);
            assert_eq!((html.matches("<script>").count(), html.matches("<img").count()), (1, 0), "{stage:?}");
            assert_eq!(html.matches("<h1>").count(), 1);
        }
    }

    #[test]
    fn the_policy_names_the_style_and_the_script_that_are_there() {
        let html = html(&Stage::Choosing, "a");
        let whole = String::from_utf8(reply("200 OK", "", &html)).unwrap();
        for part in ["style", "script"] {
            let inside = html.split_once(&format!("<{part}>")).unwrap().1.split_once(&format!("</{part}>")).unwrap().0;
            let hash = STANDARD.encode(digest(&SHA256, inside.as_bytes()));
            assert!(whole.contains(&format!("{part}-src 'sha256-{hash}'")), "{part}");
        }
        for active in ["onclick", "src=\"http", "javascript:", "style=\"", "url("] {
            assert!(!html.contains(active), "{active}");
        }
    }

    #[test]
    fn every_form_has_the_proof_and_every_field_a_label() {
        let failed = Stage::Failed { choice: Choice::Profile("a".into()), why: "no".into(), hints: Vec::new() };
        let html = html(&failed, "a");
        assert_eq!(html.matches("<form ").count(), html.matches("name=\"proof\" value=\"x\"").count());
        for id in ["workspace", "host", "name"] {
            assert!(html.contains(&format!("<label for=\"{id}\">")) && html.contains(&format!(" id=\"{id}\"")));
        }
    }
}
