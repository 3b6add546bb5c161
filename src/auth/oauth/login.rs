//! The part of a sign-in that a person sees: the link, the browser or the pasted address, and the wait.

use anyhow::Result;

use super::browser::{self, Opening};
use super::callback::{self, Answer, Listener};
use crate::env::Env;
use crate::secret::Secret;
use crate::ui::Ui;

/// Shows the link, opens it where there is a browser, and waits for what comes back: to the listener, or pasted at the terminal. `None` if the time is up.
///
/// # Errors
/// If the link is none for a browser, or the person gives up.
pub(crate) fn ask(ui: &Ui, env: &Env, listener: &mut Listener, link: &str, opening: &Opening) -> Result<Option<Answer>> {
    browser::check_link(link)?;
    let port = listener.port();
    match opening {
        Opening::Program(..) => {
            ui.note(&format!("Opening the sign-in page in your browser. If it does not appear, open this link yourself:\n{link}"));
            if let Err(failure) = opening.open(link) {
                ui.warn(&failure.to_string());
            }
            return Ok(listener.wait());
        }
        Opening::Missing(named) => ui.warn(&format!("BROWSER is {}, and there is no such program", crate::text::quoted(named))),
        Opening::Printed | Opening::Elsewhere => {}
    }
    ui.note(&format!("To sign in, open this link in a browser:\n{link}"));
    let tunnel = browser::tunnel(env, port);
    let is_elsewhere = *opening == Opening::Elsewhere || tunnel.is_some();
    if is_elsewhere {
        let line = tunnel.unwrap_or_else(|| format!("ssh -N -L {port}:localhost:{port} USER@THIS-MACHINE"));
        ui.note(&format!("\nIf the browser is on another machine, first start this there, and end it afterwards:\n  {line}"));
    }
    if !ui.can_prompt() {
        return Ok(listener.wait());
    }
    ui.note(&format!(
        "{}paste here the address at which the browser ends, even if it shows an error there (http://localhost:{port}/?...).",
        if is_elsewhere { "Or " } else { "\nIf nothing happens after signing in there, " }
    ));
    let state = listener.state().clone();
    let check = |pasted: &str| callback::read_pasted(pasted, port, &state).map(|_| Secret::new(pasted));
    let pasted = ui.prompter().secret_unless("Address from the browser (stays hidden)", &check, listener)?;
    Ok(match pasted {
        Some(pasted) => callback::read_pasted(pasted.expose(), port, &state).ok(),
        None => listener.take_answer(),
    })
}
