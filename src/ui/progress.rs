//! [`Progress`]: one line on the terminal that says what takes so long.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Ui, columns, fitted};
use crate::text;

/// Work that ends sooner is not announced: a line that flashes up is noise.
const PATIENCE: Duration = Duration::from_millis(300);
/// At most ten times a second: faster is unreadable, and writing costs time.
const PAUSE: Duration = Duration::from_millis(100);

/// A line such as `Loading clusters: 1,200 …` that is rewritten in place and gone at the end.
///
/// Silent where stderr is no terminal. There is no thread: the line moves when the work reports.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    ui: &'a Ui,
    patience: Duration,
    started: Instant,
    drawn: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// From here the patience counts.
    pub(crate) fn new(ui: &'a Ui) -> Self {
        Self { ui, patience: PATIENCE, started: Instant::now(), drawn: None }
    }

    /// Says how far the work is, if it has taken long enough and the last word is old enough.
    ///
    /// The message is made only when it is shown.
    pub(crate) fn update(&mut self, message: impl FnOnce() -> String) {
        let due = self.drawn.map_or_else(|| self.started.elapsed() >= self.patience, |drawn| drawn.elapsed() >= PAUSE);
        if due && self.ui.talks_to_terminal {
            self.draw(&message());
        }
    }

    fn draw(&mut self, message: &str) {
        let message = text::one_line(message);
        let line = fitted(&message, terminal_width().saturating_sub(1));
        debug_assert!(columns(&line) < terminal_width().max(1), "a wrapped line could not be erased");
        self.ui.say(&format!("\r\x1b[K{line}"));
        self.ui.progress_shown.store(true, Ordering::Relaxed);
        self.drawn = Some(Instant::now());
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.ui.erase_progress();
    }
}

/// Columns of the terminal behind stderr.
fn terminal_width() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stderr())
        && size.ws_col > 0
    {
        return size.ws_col.into();
    }
    80
}

/// A count as people read it: `1,200`.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal() -> Ui {
        Ui { talks_to_terminal: true, ..Ui::captured() }
    }

    #[test]
    fn quick_work_stays_silent() {
        let ui = terminal();
        Progress::new(&ui).update(|| "Loading".to_owned());
        assert_eq!(ui.stderr(), "");
    }

    #[test]
    fn slow_work_is_named_seldom_and_leaves_nothing() {
        let ui = terminal();
        let mut progress = Progress { patience: Duration::ZERO, ..Progress::new(&ui) };
        progress.update(|| "Loading 1\u{1b}".to_owned());
        progress.update(|| "Loading 2".to_owned());
        ui.note("meanwhile");
        drop(progress);
        assert_eq!(ui.stderr(), "\r\u{1b}[KLoading 1\\u{1b}\r\u{1b}[Kmeanwhile\n");
    }

    #[test]
    fn without_a_terminal_nothing_is_said() {
        let ui = Ui::captured();
        let mut progress = Progress { patience: Duration::ZERO, ..Progress::new(&ui) };
        progress.update(|| "Loading".to_owned());
        drop(progress);
        assert_eq!(ui.stderr(), "");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1_200, 1_234_567].map(grouped), ["0", "999", "1,200", "1,234,567"]);
    }
}
