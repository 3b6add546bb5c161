//! bash, zsh and fish on a terminal: Tab, then Enter, and the argument arrives byte for byte (check B2 of the security rules).
//!
//! In each shell `databricks` is a function that writes its arguments to a file; the completion scripts go past it to the program.

use std::fs;
use std::time::Instant;

use super::{Home, PROGRAM};
use crate::terminal::pty::Pty;

/// Names that a shell would run, expand or cut if they were not quoted, each with what a person types before Tab, as that shell needs it.
const NAMES: &[(&str, &str)] = &[
    ("evil$(touch P)", "ev"),
    ("`touch P`", "\\`"),
    ("star*", "sta"),
    ("a b", "a"),
    ("-rf", "-r"),
    ("é", "é"),
    ("it's", "it"),
    ("q\"q", "q"),
    ("col:on", "col:o"),
    ("semi;touch P", "se"),
    ("back\\slash", "bac"),
    ("d$HOME", "d"),
    ("bang!x", "ban"),
    ("eq=x", "eq="),
    ("me@corp", "me@"),
    ("{x,y}", "\\{"),
    ("hash #x", "ha"),
    ("pipe|touch P", "pi"),
    ("tilde~", "ti"),
    ("5\\$x", "5"),
    ("zoé ñ", "zo"),
    ("tab", "tab"),
];

/// A shell at its prompt.
struct Shell {
    pty: Pty,
    home: Home,
    turn: usize,
}

impl Shell {
    /// Starts a shell; `startup` is what its startup file says besides.
    fn start(name: &str, home: Home, startup: &str) -> Self {
        fs::create_dir_all(home.path("bin")).unwrap();
        std::os::unix::fs::symlink(PROGRAM, home.path("bin/databricks")).unwrap();
        // What `star*` would become if it were a pattern.
        home.write("work/star-file", "");
        let mut command = home.command(name);
        let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
        command.current_dir(home.path("work")).env("PATH", path).env("TERM", "xterm").env("LANG", "C.UTF-8");
        match name {
            "bash" => {
                let rc = home.write(
                    "bashrc",
                    &format!("PS1='ready> '; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'\n{startup}\ndatabricks() {{ printf '%s\\0' \"$@\" >\"$HOME/arguments\"; }}\n"),
                );
                command.arg("--noprofile").arg("--rcfile").arg(rc).arg("-i");
            }
            "zsh" => {
                home.write(
                    ".zshrc",
                    &format!("PS1='ready> '; unset zle_bracketed_paste; setopt no_beep; unsetopt prompt_sp\n{startup}\ndatabricks() {{ printf '%s\\0' \"$@\" >\"$HOME/arguments\"; }}\n"),
                );
                command.args(["-d", "-i"]);
            }
            _ => {
                home.write(
                    ".config/fish/config.fish",
                    &format!("function fish_prompt; echo 'ready> '; end; function fish_greeting; end; set -g fish_autosuggestion_enabled 0\n{startup}\nfunction databricks; printf '%s\\0' $argv >$HOME/arguments; end\n"),
                );
                command.arg("-i");
            }
        }
        let mut shell = Self { pty: Pty::sized(&command, 50, 120), home, turn: 0 };
        shell.pty.wait_for("ready> ");
        shell
    }

    /// Types, presses Tab, waits for what the shell makes of it.
    fn tab(&mut self, typed: &str) {
        self.pty.wait_until("the prompt", |screen| line_of(screen) == "ready>");
        self.pty.send(typed);
        let shown = format!("ready> {typed}");
        self.pty.wait_until("the echo", |screen| line_of(screen).trim_end() == shown.trim_end() && column_of(screen) == shown.chars().count());
        let state = |screen: &vt100::Screen| (screen.cursor_position(), line_of(screen));
        let before = state(self.pty.emulator());
        self.pty.send("\t");
        self.pty.wait_until(&format!("a completion of {typed:?}"), |screen| state(screen) != before);
    }

    /// Presses Enter and returns the arguments that the command was called with.
    fn enter(&mut self) -> Vec<String> {
        let file = self.home.path("arguments");
        let _ = fs::remove_file(&file);
        self.turn += 1;
        let mark = format!("turn-{}-over", self.turn);
        self.pty.send("\n");
        self.pty.send(format!("clear; echo turn-{}-over\n", format_args!("'{}'", self.turn)));
        self.pty.wait_for(&mark);
        let until = Instant::now() + std::time::Duration::from_secs(5);
        while !file.exists() {
            assert!(Instant::now() < until, "the command did not run\n{:?}", self.pty);
            std::thread::yield_now();
        }
        let bytes = fs::read(&file).unwrap();
        let mut words: Vec<String> = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_vec()).unwrap()).collect();
        words.pop();
        words
    }

    /// Tab and Enter for every name in every form, `{}` being where it is typed.
    fn takes_every_name(&mut self, forms: &[(&str, &str)]) {
        for (name, typed) in NAMES {
            // Within quotes nothing has to be escaped; those two are tried without.
            for (form, expected) in forms.iter().filter(|(form, _)| !typed.starts_with('\\') || !form.contains(['"', '\''])) {
                self.tab(&form.replace("{}", typed));
                let arguments = self.enter();
                assert_eq!(
                    arguments,
                    ["tokens", "list"].into_iter().map(str::to_owned).chain(expected.split(' ').map(|word| word.replace("{}", name))).collect::<Vec<_>>(),
                    "{form} with {name}\n{:?}",
                    self.pty
                );
                assert!(!self.home.path("work/P").exists(), "{name} was run");
            }
        }
    }
}

fn line_of(screen: &vt100::Screen) -> String {
    screen.rows(0, 120).nth(screen.cursor_position().0.into()).unwrap_or_default().trim_end().to_owned()
}

fn column_of(screen: &vt100::Screen) -> usize {
    screen.cursor_position().1.into()
}

fn home() -> Home {
    Home::with_profiles(NAMES.iter().map(|(name, _)| *name))
}

/// The line that loads the script: of the repository, which another test compares with what the program prints.
fn load(file: &str) -> String {
    format!(". {}/completions/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn bash() -> String {
    load("databricks.bash")
}

fn zsh() -> String {
    format!("autoload -Uz compinit && compinit -u -D\n{}", load("_databricks"))
}

const PLAIN: &[(&str, &str)] = &[("databricks tokens list -p {}", "-p {}"), ("databricks tokens list --profile={}", "--profile={}")];

/// Within quotes, which the shell closes.
const QUOTED: &[(&str, &str)] = &[
    ("databricks tokens list -p \"{}", "-p {}"),
    ("databricks tokens list -p '{}", "-p {}"),
    ("databricks tokens list --profile='{}", "--profile={}"),
    ("databricks tokens list \"--profile={}", "--profile={}"),
];

#[test]
fn bash_inserts_names_as_data() {
    let mut shell = Shell::start("bash", home(), &bash());
    shell.takes_every_name(PLAIN);
    shell.takes_every_name(QUOTED);
}

#[test]
fn bash_with_the_package_bash_completion_does_too() {
    let mut shell = Shell::start("bash", home(), &format!(". /usr/share/bash-completion/bash_completion\n{}", bash()));
    shell.takes_every_name(PLAIN);
}

#[test]
fn bash_with_unusual_settings_does_too() {
    let mut shell = Shell::start(
        "bash",
        home(),
        &format!("{}\nset -u -f -o posix; shopt -s nocasematch extglob nullglob; IFS=:; COMP_WORDBREAKS=${{COMP_WORDBREAKS//:/}}", bash()),
    );
    shell.takes_every_name(PLAIN);
}

#[test]
fn bash_without_a_character_set_does_too() {
    let mut shell = Shell::start("bash", home(), &format!("export LC_ALL=C\n{}", bash()));
    for name in ["zoé ñ", "evil$(touch P)"] {
        shell.tab(&format!("databricks tokens list -p {}", &name[..2]));
        assert_eq!(shell.enter(), ["tokens", "list", "-p", name]);
    }
}

#[test]
fn zsh_inserts_names_as_data() {
    let mut shell = Shell::start("zsh", home(), &zsh());
    shell.takes_every_name(PLAIN);
    shell.takes_every_name(QUOTED);
}

#[test]
fn zsh_loads_the_script_from_a_folder_of_functions() {
    let startup = format!("fpath=({}/completions $fpath)\nautoload -Uz compinit && compinit -u -D", env!("CARGO_MANIFEST_DIR"));
    let mut shell = Shell::start("zsh", home(), &startup);
    shell.tab("databricks tokens list -p ev");
    assert_eq!(shell.enter(), ["tokens", "list", "-p", "evil$(touch P)"]);
    shell.tab("databricks tokens list -p st");
    assert_eq!(shell.enter(), ["tokens", "list", "-p", "star*"]);
}

#[test]
fn fish_inserts_names_as_data() {
    let mut shell = Shell::start("fish", home(), &load("databricks.fish"));
    shell.takes_every_name(PLAIN);
    shell.takes_every_name(QUOTED);
}

#[test]
fn lists_show_what_each_name_is() {
    for (name, startup) in [("bash", bash()), ("zsh", zsh()), ("fish", load("databricks.fish"))] {
        let home = Home::with_profiles(["prod-eu", "prod-us x", "prod-$(touch P)"]);
        let mut shell = Shell::start(name, home, &startup);
        shell.tab("databricks tokens list -p pr");
        shell.pty.send("\t\t");
        shell.pty.wait_until("a list with descriptions", |screen| {
            let text = screen.contents();
            (0..3).all(|number| text.contains(&format!("https://w{number}.cloud.databricks.com"))) && text.contains("prod-us x") | text.contains("prod-us\\ x")
        });
        assert!(!shell.home.path("work/P").exists());
    }
}

#[test]
fn what_was_typed_is_not_run_by_the_key() {
    for (name, startup) in [("bash", bash()), ("zsh", zsh()), ("fish", load("databricks.fish"))] {
        let mut shell = Shell::start(name, home(), &startup);
        shell.tab("databricks -p $(touch P) -p \"$(touch P)\" tok");
        assert!(!shell.home.path("work/P").exists(), "{name}");
        shell.pty.send("list");
        // Enter runs it, because that is what the user wrote.
        let _ = shell.enter();
        assert!(shell.home.path("work/P").exists(), "{name}");
    }
}

#[test]
fn files_are_offered_where_files_are_meant_and_only_there() {
    for (name, startup) in [("bash", bash()), ("zsh", zsh()), ("fish", load("databricks.fish"))] {
        let mut shell = Shell::start(name, home(), &startup);
        shell.tab("databricks tokens list --log-file star");
        assert_eq!(shell.enter(), ["tokens", "list", "--log-file", "star-file"], "{name}");
        shell.tab("databricks tokens list --profile=star");
        assert_eq!(shell.enter(), ["tokens", "list", "--profile=star*"], "{name}");
    }
}
