//! Questions on a Unix terminal, which is in raw mode from the first character of a question to its answer.
//!
//! Own code instead of a prompt library, because none keeps these promises: what is pasted or typed ahead is never echoed; after a signal, a
//! panic or a hang-up the terminal is as it was; a terminal that is gone ends the question; text of others cannot speak to the terminal.

use std::io;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGINT, SIGTSTP, SIGWINCH};
use signal_hook::low_level;
use zeroize::Zeroizing;

use super::editor::{Effect, Line};
use super::keys::{Decoder, Key};
use super::picker::Picker;
use super::prompt::{Cancelled, Check, Choice, Meanwhile, Prompter, means_yes, nothing_to_choose};
use super::{columns, fitted, held, write_fully};
use crate::error::Failure;
use crate::secret::Secret;
use crate::signals::Watch;
use crate::text;

/// How long the rest of a key may take after its ESC; a person is slower, a line is faster.
const ESCAPE_PAUSE: Duration = Duration::from_millis(40);
/// A paste that is this long silent is over.
const BURST_PAUSE: Duration = Duration::from_millis(30);
/// The same where more than one line came, or the terminal will mark the end of the paste: then there is something to wait for.
const PASTE_PAUSE: Duration = Duration::from_millis(300);
/// An input that never ends is not read for longer.
const BURST_LIMIT: Duration = Duration::from_secs(1);

/// How a secret of any length looks when it is entered.
const MASK: &str = "********";

/// The person at the terminal of this process.
#[derive(Debug)]
pub(super) struct Terminal;

impl Prompter for Terminal {
    fn text(&self, label: &str, default: Option<&str>, check: Check<'_, String>) -> anyhow::Result<String> {
        let label = text::one_line(label);
        let head = match default {
            Some(default) if !default.is_empty() => format!("{label} [{}]: ", text::one_line(default)),
            _ => format!("{label}: "),
        };
        let field = Field { head, left: format!("{label}: "), marked: true, masked: false };
        ask(&field.left, |session| field.edit(session, default.unwrap_or_default(), check, |value| text::one_line(value).into_owned()))
    }

    fn secret(&self, label: &str, check: Check<'_, Secret>) -> anyhow::Result<Secret> {
        let head = format!("{}: ", text::one_line(label));
        let field = Field { left: head.clone(), head, marked: true, masked: true };
        ask(&field.left, |session| field.edit(session, "", check, |secret| if secret.is_empty() { "" } else { MASK }.to_owned()))
    }

    fn secret_unless(&self, label: &str, check: Check<'_, Secret>, meanwhile: &mut dyn Meanwhile) -> anyhow::Result<Option<Secret>> {
        let head = format!("{}: ", text::one_line(label));
        let field = Field { left: head.clone(), head, marked: true, masked: true };
        ask(&field.left, |session| {
            let answer = field.edit_while(session, "", check, |_| MASK.to_owned(), Some(meanwhile))?;
            if answer.is_none() {
                // The question is gone as if it had not been asked.
                draw(FROM_HERE)?;
            }
            Ok(answer)
        })
    }

    fn choose(&self, label: &str, items: &[Choice], searchable: bool) -> anyhow::Result<usize> {
        if items.is_empty() {
            return Err(nothing_to_choose(label));
        }
        let left = format!("{}: ", text::one_line(label));
        ask(&left, |session| pick(session, Picker::new(label, items, searchable), &left, items))
    }

    fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        let head = format!("{} [y/N]: ", text::one_line(question));
        let field = Field { left: head.clone(), head, marked: false, masked: false };
        let answer = ask(&field.left, |session| field.edit(session, "", &|text| Ok(text.to_owned()), |answer| text::one_line(answer).into_owned()))?;
        Ok(means_yes(&answer))
    }
}

/// Why a question ends without an answer.
#[derive(Debug)]
enum Stop {
    Cancelled(Cancelled),
    /// One that ends the process unless somebody asks a question.
    Signal(i32),
    /// The terminal hung up.
    Gone,
    Broken(io::Error),
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        // What a terminal answers after its other side is closed.
        if error == Errno::IO { Self::Gone } else { Self::Broken(error.into()) }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).map_or_else(|| Self::Broken(error), Self::from)
    }
}

impl Stop {
    /// The error that the command ends with. After a signal other than SIGINT the process ends here, by that signal: the shell is to see it.
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Cancelled(cancelled) => cancelled.into(),
            Self::Signal(SIGINT) => Cancelled::Interrupt.into(),
            Self::Signal(signal) => {
                // Returns only for signals that do not end the process, and none of those comes here.
                let _ = low_level::emulate_default_handler(signal);
                Failure::new(format!("stopped by signal {signal}")).into()
            }
            Self::Gone => Failure::new("the terminal was closed before the question was answered").into(),
            Self::Broken(error) => Failure::new(format!("cannot ask on this terminal: {error}")).into(),
        }
    }
}

/// Asks one question from raw mode to raw mode's end. `left` is the line that stays where the question was, if it is not answered.
fn ask<T>(left: &str, question: impl FnOnce(&mut Session) -> Result<T, Stop>) -> anyhow::Result<T> {
    let answer = Session::open().and_then(|mut session| {
        let answer = question(&mut session);
        if matches!(answer, Err(Stop::Cancelled(_) | Stop::Signal(_))) {
            leave(left);
        }
        let closed = session.close();
        answer.and_then(|answer| closed.map(|()| answer))
    });
    // By now everything that was typed is wiped, and the terminal is the user's again.
    answer.map_err(Stop::into_error)
}

/// A question for one line.
struct Field {
    /// What stands before the text.
    head: String,
    /// The same in the line that is left over.
    left: String,
    /// Whether a mark shows if Enter would be accepted.
    marked: bool,
    masked: bool,
}

impl Field {
    fn edit<T>(&self, session: &mut Session, default: &str, check: Check<'_, T>, shown: impl Fn(&T) -> String) -> Result<T, Stop> {
        loop {
            if let Some(value) = self.edit_while(session, default, check, &shown, None)? {
                return Ok(value);
            }
        }
    }

    /// `None` if what goes on meanwhile made the question needless.
    fn edit_while<T>(
        &self,
        session: &mut Session,
        default: &str,
        check: Check<'_, T>,
        shown: impl Fn(&T) -> String,
        mut meanwhile: Option<&mut dyn Meanwhile>,
    ) -> Result<Option<T>, Stop> {
        let mut line = Line::default();
        let mut complaint: Option<String> = None;
        loop {
            let valid = check(meant(&line, default)).is_ok();
            draw(&self.frame(&mut line, valid, complaint.as_deref(), screen_size().1))?;
            match session.wait_while(&mut meanwhile)? {
                Wake::Redraw => continue,
                Wake::Settled => return Ok(None),
                Wake::Input => {}
            }
            complaint = None;
            while let Some(key) = session.key()? {
                match key {
                    Key::Interrupt => return Err(Stop::Cancelled(Cancelled::Interrupt)),
                    Key::EndOfInput | Key::Delete if line.is_empty() => return Err(Stop::Cancelled(Cancelled::EndOfInput)),
                    Key::Enter => {
                        // Also after a refusal: what follows the end of a pasted line is no part of it.
                        session.discard_burst();
                        match check(meant(&line, default)) {
                            Ok(value) => {
                                leave(&format!("{}{}", self.left, shown(&value)));
                                return Ok(Some(value));
                            }
                            Err(why) => complaint = Some(why),
                        }
                    }
                    key => {
                        if let Effect::Refused(why) = line.press(key) {
                            complaint = Some(why.to_owned());
                        }
                    }
                }
            }
        }
    }

    /// Draws from the start of the line, and leaves the cursor in it.
    fn frame(&self, line: &mut Line, valid: bool, complaint: Option<&str>, width: usize) -> String {
        let mark = match (self.marked, valid) {
            (false, _) => "",
            (true, true) => "\x1b[32m✔\x1b[0m ",
            (true, false) => "\x1b[31m✗\x1b[0m ",
        };
        let before = if self.marked { 2 } else { 0 };
        // At least ten columns are for the text, whatever the label.
        let head = fitted(&self.head, width.saturating_sub(before + 10));
        let before = before + columns(&head);
        let window = line.window(width.saturating_sub(before), self.masked);
        let complaint = complaint.map_or_else(String::new, |why| {
            let why = format!(">> {}", text::one_line(why));
            format!("\n\x1b[31m{}\x1b[0m\x1b[A", fitted(&why, width.saturating_sub(1)))
        });
        format!("{FROM_HERE}{mark}{head}{}{complaint}{}", window.text, column(before + window.cursor))
    }
}

fn meant<'a>(line: &'a Line, default: &'a str) -> &'a str {
    if line.is_empty() { default } else { line.text() }
}

fn pick(session: &mut Session, mut picker: Picker<'_>, left: &str, items: &[Choice]) -> Result<usize, Stop> {
    loop {
        let (lines, cursor) = picker.frame(screen_size());
        let place = cursor.map_or_else(|| "\r\x1b[?25l".to_owned(), |cursor| format!("{}\x1b[?25h", column(cursor)));
        // A frame has the label and at least one row: there is always a line to go up.
        draw(&format!("{FROM_HERE}{}\x1b[{}A{place}", lines.join("\n"), lines.len() - 1))?;
        if session.wait()? == Wake::Redraw {
            continue;
        }
        while let Some(key) = session.key()? {
            match (key, picker.chosen()) {
                (Key::Interrupt, _) => return Err(Stop::Cancelled(Cancelled::Interrupt)),
                (Key::EndOfInput, _) => return Err(Stop::Cancelled(Cancelled::EndOfInput)),
                (Key::Enter, Some(chosen)) => {
                    session.discard_burst();
                    let name = items.get(chosen).map(|item| text::one_line(&item.label)).unwrap_or_default();
                    leave(&format!("{left}{name}"));
                    return Ok(chosen);
                }
                (key, _) => {
                    picker.press(key);
                }
            }
        }
    }
}

/// Back to the start of the line, with everything from there to the end of the screen erased.
const FROM_HERE: &str = "\r\x1b[J";

fn column(column: usize) -> String {
    if column == 0 { "\r".to_owned() } else { format!("\r\x1b[{column}C") }
}

/// The settings to go back to, while a question is open. Not part of [`Session`], because the panic hook needs them too.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Gives the terminal back: the cursor, the user's settings, and nothing left to read of what was typed for us.
fn restore() {
    if let Some(saved) = held(&SAVED).take() {
        // If the terminal is gone there is nothing to restore.
        let _ = write_fully(io::stderr().lock(), b"\x1b[?2004l\x1b[?25h");
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &saved);
    }
}

/// Raw mode: keys come one by one, none is echoed, none is a signal. Output stays as it is, so that a line feed is a new line.
fn raw(saved: &Termios) -> Termios {
    let mut raw = saved.clone();
    raw.make_raw();
    raw.output_modes = saved.output_modes;
    raw
}

fn enter_raw() -> Result<(), Stop> {
    let mut saved = held(&SAVED);
    // Still there after a stop that could not be caught: the settings of before count, not those of now.
    let before = if let Some(before) = saved.as_ref() { before.clone() } else { tcgetattr(io::stdin())? };
    let raw = raw(&before);
    *saved = Some(before);
    tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
    // Ask the terminal to mark what is pasted.
    write_fully(io::stderr().lock(), b"\x1b[?2004h")?;
    Ok(())
}

/// Rows and columns of the screen.
fn screen_size() -> (usize, usize) {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_row.into(), size.ws_col.into()),
        _ => (24, 80),
    }
}

fn draw(frame: &str) -> Result<(), Stop> {
    Ok(write_fully(io::stderr().lock(), frame.as_bytes())?)
}

/// Replaces the question by one faint line.
fn leave(line: &str) {
    // The answer is known; that it could not be shown is no reason to lose it.
    let _ = draw(&format!("{FROM_HERE}\x1b[2m{}\x1b[0m\n", line.trim_end()));
}

fn arrives_within(pause: Duration) -> bool {
    let stdin = io::stdin();
    let limit = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
    matches!(poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&limit)), Ok(1..))
}

/// What a wait ended with.
#[derive(Debug, PartialEq, Eq)]
enum Wake {
    Input,
    /// The screen is not what was drawn: another size, or back from a stop.
    Redraw,
    /// Nobody needs the answer any more.
    Settled,
}

/// A terminal in raw mode.
struct Session {
    watch: Watch,
    decoder: Decoder,
    buffer: Zeroizing<[u8; 1024]>,
    at: usize,
    end: usize,
}

impl Session {
    fn open() -> Result<Self, Stop> {
        static HOOK: Once = Once::new();
        // The release build aborts on a panic: nothing is dropped, only the hook runs.
        HOOK.call_once(|| {
            let inner = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                inner(panic);
            }));
        });
        let watch = Watch::begin(&[SIGTSTP, SIGCONT, SIGWINCH])?;
        let session = Self { watch, decoder: Decoder::default(), buffer: Zeroizing::new([0; 1024]), at: 0, end: 0 };
        enter_raw()?;
        Ok(session)
    }

    /// Ends raw mode; a signal that came in the last moment is not lost.
    fn close(self) -> Result<(), Stop> {
        drop(self);
        Watch::deadly().map_or(Ok(()), |signal| Err(Stop::Signal(signal)))
    }

    /// Waits for input or for a reason to draw again.
    fn wait(&mut self) -> Result<Wake, Stop> {
        self.wait_while(&mut None)
    }

    /// As [`Session::wait`], and gives its turns to what goes on meanwhile.
    fn wait_while(&mut self, meanwhile: &mut Option<&mut dyn Meanwhile>) -> Result<Wake, Stop> {
        loop {
            if meanwhile.as_mut().is_some_and(|meanwhile| meanwhile.turn()) {
                return Ok(Wake::Settled);
            }
            if let Some(signal) = Watch::deadly() {
                return Err(Stop::Signal(signal));
            }
            if Watch::take(SIGTSTP) {
                Self::suspend()?;
                return Ok(Wake::Redraw);
            }
            if Watch::take(SIGCONT) {
                enter_raw()?;
                return Ok(Wake::Redraw);
            }
            if Watch::take(SIGWINCH) {
                return Ok(Wake::Redraw);
            }
            let stdin = io::stdin();
            let mut sources = vec![PollFd::new(&stdin, PollFlags::IN), PollFd::new(self.watch.bell, PollFlags::IN)];
            let limit = meanwhile.as_ref().map(|meanwhile| {
                sources.extend(meanwhile.sources());
                let patience = meanwhile.patience() + Duration::from_millis(1);
                Timespec { tv_sec: patience.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: patience.subsec_nanos().into() }
            });
            match poll(&mut sources, limit.as_ref()) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [input, bell] = [0, 1].map(|index| sources.get(index).is_some_and(|source| !source.revents().is_empty()));
            drop(sources);
            if bell {
                Watch::silence();
            } else if input && self.fill()? {
                return Ok(Wake::Input);
            }
        }
    }

    /// Stops as Ctrl-Z stops other programs, with the terminal in order, and comes back.
    fn suspend() -> Result<(), Stop> {
        draw("\n")?;
        restore();
        low_level::emulate_default_handler(SIGTSTP)?;
        Watch::take(SIGCONT);
        enter_raw()
    }

    /// Reads what is there; `false` if it was nothing after all.
    fn fill(&mut self) -> Result<bool, Stop> {
        match rustix::io::read(io::stdin(), &mut self.buffer[..]) {
            Ok(0) => Err(Stop::Gone),
            Ok(count) => {
                (self.at, self.end) = (0, count);
                Ok(true)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The next key of what was read; `None` at its end.
    fn key(&mut self) -> Result<Option<Key>, Stop> {
        loop {
            let mut input = self.buffer.get(self.at..self.end).unwrap_or_default();
            let key = self.decoder.next(&mut input);
            self.at = self.end - input.len();
            if key.is_some() || !self.decoder.awaits_more() {
                return Ok(key);
            }
            if !arrives_within(ESCAPE_PAUSE) {
                return Ok(Some(self.decoder.settle_escape()));
            }
            self.fill()?;
        }
    }

    /// Drops what came in one go with the key just read: the rest of a paste, which is neither for the next question nor for the shell.
    fn discard_burst(&mut self) {
        let started = Instant::now();
        let mut more = self.at < self.end;
        if self.end > 1 || self.decoder.pasting() {
            loop {
                // Only to see where the paste ends.
                while let Ok(Some(_)) = self.key() {}
                let pause = if more || self.decoder.pasting() { PASTE_PAUSE } else { BURST_PAUSE };
                if started.elapsed() > BURST_LIMIT || !arrives_within(pause) || self.fill().is_err() {
                    break;
                }
                more = true;
            }
            self.decoder = Decoder::default();
        }
        self.at = self.end;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        restore();
    }
}
