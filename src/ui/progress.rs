//! [`Progress`]: one line on the terminal that says what takes so long.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Poll;
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

    /// Waits for one long piece of work and names it meanwhile.
    pub(crate) async fn during<T>(&mut self, message: &str, work: impl Future<Output = T>) -> T {
        if !self.ui.talks_to_terminal {
            return work.await;
        }
        let mut work = pin!(work);
        let mut patience = pin!(tokio::time::sleep(self.patience.saturating_sub(self.started.elapsed())));
        let mut told = false;
        std::future::poll_fn(|context| {
            if let Poll::Ready(result) = work.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            if !told && patience.as_mut().poll(context).is_ready() {
                told = true;
                self.draw(message);
            }
            Poll::Pending
        })
        .await
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
    fn one_long_wait_is_named_once() {
        let ui = terminal();
        let mut progress = Progress { patience: Duration::from_millis(5), ..Progress::new(&ui) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // Work that lasts until it was named, however slow the machine is.
        let work = std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if ui.stderr().is_empty() { Poll::Pending } else { Poll::Ready(7) }
        });
        let answer = runtime.block_on(progress.during("Loading list of clusters", work));
        drop(progress);
        assert_eq!(answer, 7);
        assert_eq!(ui.stderr(), "\r\u{1b}[KLoading list of clusters\r\u{1b}[K");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1_200, 1_234_567].map(grouped), ["0", "999", "1,200", "1,234,567"]);
    }
}
