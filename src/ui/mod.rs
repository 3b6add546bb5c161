//! What the program says and asks: the one way to stdout, to stderr and to the person at the terminal.
//!
//! Stdout is data, stderr is talk. Data is collected and written in one go, or page by page; a reader that went away is no error.
//! Questions are asked only where [`Ui::can_prompt`] says so, through a [`Prompter`].

#[cfg(unix)]
mod editor;
#[cfg(unix)]
mod keys;
#[cfg(unix)]
mod picker;
#[cfg(not(unix))]
mod portable;
#[cfg(all(test, target_os = "linux"))]
#[path = "../../tests/terminal/pty.rs"]
mod pty;
#[cfg(unix)]
mod terminal;
#[cfg(all(test, target_os = "linux"))]
mod terminal_tests;

pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod prompt;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use unicode_width::UnicodeWidthChar;

use crate::env::{self, Env};
use crate::error::Failure;
use crate::json::Scanner;
use crate::secret;
use crate::text;

use output::{JsonArray, KeyOrder, Table};
use prompt::Prompter;

/// Output and talk of one run.
///
/// Built once, handed to every command. It may be shared between threads.
pub(crate) struct Ui {
    can_prompt: bool,
    color: bool,
    talks_to_terminal: bool,
    sink: Sink,
    /// Data that is not yet written. Wiped after each write: it may hold a token.
    pending: Mutex<Vec<u8>>,
    /// Whether the reader of stdout closed its end.
    deserted: AtomicBool,
    /// Whether a progress line stands on the terminal, and must be erased before anything else is said.
    progress_shown: AtomicBool,
    prompter: Box<dyn Prompter>,
}

/// Where text ends up.
enum Sink {
    Process,
    #[cfg(test)]
    Captured(Mutex<Captured>),
}

/// What a [`Ui::captured`] was told.
#[cfg(test)]
#[derive(Default)]
struct Captured {
    stdout: String,
    stderr: String,
}

/// Whether anyone still reads stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Audience {
    Listening,
    /// The pipe is closed (`| head`): further output is dropped, and fetching more of it is wasted work.
    Gone,
}

impl Ui {
    /// The process's own streams.
    ///
    /// Questions need a terminal on stdin and on stderr, and the environment must not say otherwise: `NO_COLOR`, `TERM=dumb` and Git Bash
    /// (`MSYSTEM`), whose terminal emulation swallows raw keys, each turn them off.
    pub(crate) fn new(env: &Env) -> Self {
        let plain = env.get(env::NO_COLOR).is_some() || env.get(env::TERM) == Some("dumb");
        let talks_to_terminal = io::stderr().is_terminal();
        let can_prompt = talks_to_terminal && io::stdin().is_terminal() && !plain && env.get(env::MSYSTEM).is_none();
        Self {
            can_prompt,
            color: io::stdout().is_terminal() && !plain,
            talks_to_terminal: talks_to_terminal && !plain,
            sink: Sink::Process,
            pending: Mutex::default(),
            deserted: AtomicBool::new(false),
            progress_shown: AtomicBool::new(false),
            prompter: if can_prompt { prompt::terminal() } else { Box::new(prompt::Refusing::default()) },
        }
    }

    /// As [`Ui::new`], for work that goes on by itself: nobody is asked.
    pub(crate) fn unattended(env: &Env) -> Self {
        Self { can_prompt: false, prompter: Box::new(prompt::Refusing::default()), ..Self::new(env) }
    }

    /// Whether a person can be asked.
    pub(crate) fn can_prompt(&self) -> bool {
        self.can_prompt
    }

    /// Whether somebody reads at a terminal what goes to standard error.
    pub(crate) fn talks_to_terminal(&self) -> bool {
        self.talks_to_terminal
    }

    /// Whether stdout is a terminal that shows colours.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    /// Whether stdout is a terminal, with or without colours: what comes from elsewhere must not reach it raw.
    pub(crate) fn shows_on_terminal(&self) -> bool {
        matches!(self.sink, Sink::Process) && io::stdout().is_terminal()
    }

    /// Whoever asks the questions: the terminal, or one that refuses where [`Ui::can_prompt`] is false.
    pub(crate) fn prompter(&self) -> &dyn Prompter {
        &*self.prompter
    }

    /// Adds data for stdout, byte for byte: what comes from elsewhere must already be safe ([`text::one_line`], [`output`]).
    pub(crate) fn out(&self, data: &str) {
        if !self.deserted.load(Ordering::Relaxed) {
            self.pending().extend_from_slice(data.as_bytes());
        }
    }

    /// Adds the next item of a JSON list.
    ///
    /// # Errors
    /// As [`Ui::out_json`].
    pub(crate) fn out_item(&self, array: &mut JsonArray, item: &str) -> anyhow::Result<()> {
        if self.deserted.load(Ordering::Relaxed) { Ok(()) } else { array.item(item, &mut self.pending()) }
    }

    /// Adds the next item of a JSON list, at which a scanner stands; it steps behind it. `None`, and nothing is added, if the item cannot be printed.
    pub(crate) fn out_next_item(&self, array: &mut JsonArray, scanner: &mut Scanner<'_>) -> Option<()> {
        if self.deserted.load(Ordering::Relaxed) { scanner.value().map(|_| ()) } else { array.next_item(scanner, &mut self.pending()) }
    }

    /// Takes back the items of a JSON list that were added since the last flush; `opened` says whether there are some before.
    pub(crate) fn take_back(&self, array: &mut JsonArray, opened: bool) {
        secret::wipe(&mut self.pending());
        array.take_back(opened);
    }

    /// Adds one line of data for stdout; what may change the terminal, line feeds too, becomes visible.
    pub(crate) fn out_line(&self, line: &str) {
        self.out(&text::one_line(line));
        self.out("\n");
    }

    /// Adds a JSON document as object commands print it: sorted keys, 2 spaces, final line feed. An empty answer adds nothing.
    ///
    /// # Errors
    /// The text is no JSON, or nested too deeply.
    pub(crate) fn out_json(&self, document: &str) -> anyhow::Result<()> {
        self.out_document(document, KeyOrder::Sorted, b"\n")
    }

    /// As [`Ui::out_json`], but with our own order of keys and without a final line feed: `auth token` and its kind, which programs read.
    ///
    /// # Errors
    /// The text is no JSON, or nested too deeply.
    pub(crate) fn out_json_bare(&self, document: &str) -> anyhow::Result<()> {
        self.out_document(document, KeyOrder::AsWritten, b"")
    }

    fn out_document(&self, document: &str, order: KeyOrder, end: &[u8]) -> anyhow::Result<()> {
        let mut pending = self.pending();
        let before = pending.len();
        output::json(document, order, self.color, &mut pending)?;
        if pending.len() > before {
            pending.extend_from_slice(end);
        }
        Ok(())
    }

    /// An empty table with these column titles, coloured as stdout wants it.
    pub(crate) fn table(&self, titles: &[&str]) -> Table {
        Table::new(titles, self.color)
    }

    /// Adds the rows of a table that are ready.
    pub(crate) fn out_page(&self, table: &mut Table) {
        if !self.deserted.load(Ordering::Relaxed) {
            table.page(&mut self.pending());
        }
    }

    /// Adds a row that the table expects.
    pub(crate) fn out_row<'a>(&self, table: &mut Table, cells: impl IntoIterator<Item = output::Cell<'a>>) {
        if !self.deserted.load(Ordering::Relaxed) {
            table.write(&mut self.pending(), cells);
        }
    }

    /// A JSON list to be written item by item, coloured as stdout wants it.
    pub(crate) fn json_array(&self) -> JsonArray {
        JsonArray::new(self.color)
    }

    /// Writes what was collected. A command calls it after each page of a streamed list; the end of the program calls it once more.
    ///
    /// # Errors
    /// Stdout cannot take the data (disk full). A closed pipe is no error.
    pub(crate) fn flush(&self) -> anyhow::Result<Audience> {
        let mut pending = self.pending();
        if !pending.is_empty() {
            if self.color {
                self.erase_progress();
            }
            let written = match &self.sink {
                Sink::Process => write_to_stdout(&pending),
                #[cfg(test)]
                Sink::Captured(captured) => {
                    held(captured).stdout.push_str(&String::from_utf8_lossy(&pending));
                    Ok(())
                }
            };
            secret::wipe(&mut pending);
            if settle(written)? == Audience::Gone {
                self.deserted.store(true, Ordering::Relaxed);
            }
        }
        Ok(if self.deserted.load(Ordering::Relaxed) { Audience::Gone } else { Audience::Listening })
    }

    /// Writes data to stdout at once, byte for byte, behind what was collected: bodies too large to collect.
    ///
    /// # Errors
    /// As [`Ui::flush`].
    pub(crate) fn pour(&self, data: &[u8]) -> anyhow::Result<Audience> {
        if self.flush()? == Audience::Gone {
            return Ok(Audience::Gone);
        }
        let written = match &self.sink {
            Sink::Process => write_to_stdout(data),
            #[cfg(test)]
            Sink::Captured(captured) => {
                held(captured).stdout.push_str(&String::from_utf8_lossy(data));
                Ok(())
            }
        };
        let audience = settle(written)?;
        if audience == Audience::Gone {
            self.deserted.store(true, Ordering::Relaxed);
        }
        Ok(audience)
    }

    /// Says something on stderr, on lines of its own. Never fails: nobody may be listening.
    pub(crate) fn note(&self, message: &str) {
        self.erase_progress();
        self.say(&format!("{}\n", text::lines(message)));
    }

    /// Says what the user should know although the work goes on.
    pub(crate) fn warn(&self, message: &str) {
        self.note(&format!("Warning: {message}"));
    }

    fn pending(&self) -> MutexGuard<'_, Vec<u8>> {
        held(&self.pending)
    }

    fn erase_progress(&self) {
        if self.progress_shown.swap(false, Ordering::Relaxed) {
            self.say("\r\x1b[K");
        }
    }

    /// Writes to stderr as it is.
    fn say(&self, message: &str) {
        match &self.sink {
            Sink::Process => {
                // There is nowhere left to report a broken stderr to.
                let _ = io::Write::write_all(&mut io::stderr(), message.as_bytes());
            }
            #[cfg(test)]
            Sink::Captured(captured) => held(captured).stderr.push_str(message),
        }
    }
}

#[cfg(test)]
impl Ui {
    /// For tests: nothing is a terminal, everything said is kept, every question is refused.
    pub(crate) fn captured() -> Self {
        Self {
            can_prompt: false,
            color: false,
            talks_to_terminal: false,
            sink: Sink::Captured(Mutex::default()),
            pending: Mutex::default(),
            deserted: AtomicBool::new(false),
            progress_shown: AtomicBool::new(false),
            prompter: Box::new(prompt::Refusing::default()),
        }
    }

    /// For tests: as [`Ui::captured`], but questions are answered.
    pub(crate) fn scripted(prompter: prompt::Scripted) -> Self {
        Self { can_prompt: true, prompter: Box::new(prompter), ..Self::captured() }
    }

    /// What reached stdout so far; data that was not flushed is not there.
    pub(crate) fn stdout(&self) -> String {
        match &self.sink {
            Sink::Process => String::new(),
            Sink::Captured(captured) => held(captured).stdout.clone(),
        }
    }

    /// What reached stderr so far.
    pub(crate) fn stderr(&self) -> String {
        match &self.sink {
            Sink::Process => String::new(),
            Sink::Captured(captured) => held(captured).stderr.clone(),
        }
    }
}

impl fmt::Debug for Ui {
    /// Not what was said: it may be a token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ui").field("can_prompt", &self.can_prompt).field("color", &self.color).finish_non_exhaustive()
    }
}

/// Says something on standard error from a place that has no [`Ui`], over whatever progress line stands there.
pub(crate) fn aside(message: &str) {
    let mut stderr = io::stderr();
    let over = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
    // Talk that nobody can hear is no error.
    let _unheard = io::Write::write_all(&mut stderr, format!("{over}{}\n", text::one_line(message)).as_bytes());
}

/// The content of a lock, also after a panic elsewhere: text output has no invariant that a panic could break.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn settle(written: io::Result<()>) -> anyhow::Result<Audience> {
    match written {
        Ok(()) => Ok(Audience::Listening),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Audience::Gone),
        Err(error) => Err(Failure::new(format!("cannot write to standard output: {error}")).into()),
    }
}

/// Past the line buffer of [`std::io::Stdout`], which would cut the data into two writes.
#[cfg(unix)]
fn write_to_stdout(data: &[u8]) -> io::Result<()> {
    write_fully(io::stdout().lock(), data)
}

#[cfg(not(unix))]
fn write_to_stdout(data: &[u8]) -> io::Result<()> {
    use io::Write;
    let mut stdout = io::stdout().lock();
    stdout.write_all(data)?;
    stdout.flush()
}

/// Writes everything, also to a descriptor that another process made non-blocking.
#[cfg(unix)]
fn write_fully(target: impl std::os::fd::AsFd, mut data: &[u8]) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    while !data.is_empty() {
        match rustix::io::write(&target, data) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => data = data.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&target, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until one of the sources is ready or the time is up. A signal that does not end the process ends the wait too.
#[cfg(unix)]
pub(crate) fn wait_for(sources: &mut [rustix::event::PollFd<'_>], limit: std::time::Duration) {
    // To the full millisecond, so that a limit that is nearly reached is not waited for in a busy loop.
    let limit = limit + std::time::Duration::from_millis(1);
    let limit = rustix::event::Timespec { tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: limit.subsec_nanos().into() };
    // Whatever it ends with, the next look at the sources tells.
    let _ready = rustix::event::poll(sources, Some(&limit));
}

/// Columns that a text takes on a terminal.
#[inline]
fn columns(text: &str) -> usize {
    if text::is_printable_ascii(text) {
        return text.len();
    }
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// The text in at most that many columns, with `…` where something was cut.
fn fitted(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let mut fitted = String::new();
    let mut left = width.saturating_sub(1);
    for character in text.chars() {
        let taken = character.width().unwrap_or(0);
        if taken > left {
            break;
        }
        left -= taken;
        fitted.push(character);
    }
    if width > 0 {
        fitted.push('…');
    }
    Cow::Owned(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_waits_for_the_flush_and_talk_does_not() {
        let ui = Ui::captured();
        ui.out_line("a\u{1b}[2Jb");
        ui.note("saved\nwith \u{1b}care");
        ui.warn("old");
        assert_eq!(ui.stdout(), "");
        assert_eq!(ui.stderr(), "saved\nwith \\u{1b}care\nWarning: old\n");
        assert_eq!(ui.flush().unwrap(), Audience::Listening);
        assert_eq!(ui.stdout(), "a\\u{1b}[2Jb\n");
    }

    #[test]
    fn json_ends_with_a_line_feed_unless_programs_expect_none() {
        let ui = Ui::captured();
        ui.out_json("{\"b\":1,\"a\":2}").unwrap();
        ui.out_json("  ").unwrap();
        ui.out_json_bare("{\"b\":1,\"a\":2}").unwrap();
        let _ = ui.flush().unwrap();
        assert_eq!(ui.stdout(), "{\n  \"a\": 2,\n  \"b\": 1\n}\n{\n  \"b\": 1,\n  \"a\": 2\n}");
    }

    #[test]
    fn debug_shows_nothing_that_was_said() {
        let ui = Ui::captured();
        ui.out("dapi123");
        assert!(!format!("{ui:?}").contains("dapi"));
    }

    #[cfg(unix)]
    #[test]
    fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(settle(write_fully(&writer, b"data")).unwrap(), Audience::Gone);

        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = settle(write_fully(&full, b"data")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write to standard output: No space left"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_non_blocking_pipe_takes_more_than_it_holds() {
        use std::io::Read;
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let data = vec![b'x'; 1 << 20];
        let sum = std::thread::spawn(move || {
            let mut taken = Vec::new();
            reader.read_to_end(&mut taken).unwrap();
            taken.len()
        });
        write_fully(&writer, &data).unwrap();
        drop(writer);
        assert_eq!(sum.join().unwrap(), data.len());
    }

    #[test]
    fn fitted_counts_columns_and_not_characters() {
        assert_eq!(fitted("日本語", 6), "日本語");
        assert_eq!(fitted("日本語", 5), "日本…");
        assert_eq!(fitted("日本語", 4), "日…");
        assert_eq!(fitted("abc", 0), "");
    }
}
