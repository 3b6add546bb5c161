//! The shells: their scripts, and where each reads what it does at its start.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::commands::completion::answer;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::text;

/// One shell.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) name: &'static str,
    script: &'static str,
    /// The command that loads the script at the start of the shell.
    pub(crate) loader: &'static str,
    /// The file that the shell reads at its start, below the folder.
    file: &'static str,
    /// The folder: the value of a variable that moves it, or that folder below the home.
    folder: (Option<&'static str>, &'static str),
    /// Words in the startup file of which one must be there for the loader to work, and the line to add otherwise.
    pub(crate) needs: Option<(&'static [&'static str], &'static str)>,
}

const POWERSHELL_SCRIPT: &str = include_str!("../../../completions/databricks.ps1");
const POWERSHELL_LOADER: &str = "databricks completion powershell | Out-String | Invoke-Expression";
const POWERSHELL_FILE: &str = "Microsoft.PowerShell_profile.ps1";

pub(crate) static SHELLS: &[Shell] = &[
    Shell {
        name: "bash",
        script: include_str!("../../../completions/databricks.bash"),
        loader: "eval \"$(databricks completion bash)\"",
        file: ".bashrc",
        folder: (None, ""),
        needs: None,
    },
    Shell {
        name: "zsh",
        script: include_str!("../../../completions/_databricks"),
        loader: "eval \"$(databricks completion zsh)\"",
        file: ".zshrc",
        folder: (Some(env::ZDOTDIR), ""),
        needs: Some((&["compinit", "oh-my-zsh", "prezto", "zim", "zinit", "antigen", "antidote", "zplug"], "autoload -Uz compinit && compinit")),
    },
    Shell {
        name: "fish",
        script: include_str!("../../../completions/databricks.fish"),
        loader: "databricks completion fish | source",
        file: "fish/completions/databricks.fish",
        folder: (Some(env::XDG_CONFIG_HOME), ".config"),
        needs: None,
    },
    Shell {
        name: "powershell",
        script: POWERSHELL_SCRIPT,
        loader: POWERSHELL_LOADER,
        file: POWERSHELL_FILE,
        folder: (None, if cfg!(windows) { "Documents/PowerShell" } else { ".config/powershell" }),
        needs: None,
    },
    // Windows PowerShell, which reads a file of its own.
    Shell {
        name: "powershell5",
        script: POWERSHELL_SCRIPT,
        loader: POWERSHELL_LOADER,
        file: POWERSHELL_FILE,
        folder: (None, if cfg!(windows) { "Documents/WindowsPowerShell" } else { ".config/powershell" }),
        needs: None,
    },
];

impl Shell {
    /// The script, with what each candidate is or without.
    pub(crate) fn script(&self, descriptions: bool) -> Cow<'static, str> {
        if descriptions { Cow::Borrowed(self.script) } else { Cow::Owned(self.script.replace(answer::WITH_DESCRIPTIONS, answer::WITHOUT_DESCRIPTIONS)) }
    }

    /// The file that the shell reads at its start.
    ///
    /// # Errors
    /// If there is no home folder.
    pub(crate) fn startup_file(&self, env: &Env) -> Result<PathBuf, Failure> {
        let (variable, below_home) = self.folder;
        if let Some(folder) = variable.and_then(|variable| env.path(variable)).filter(|folder| folder.is_absolute()) {
            return Ok(folder.join(self.file));
        }
        let home = env.home().ok_or_else(|| Failure::new(format!("{} is not set, so there is no startup file of {} to look for", env::HOME, self.name)))?;
        Ok(home.join(below_home).join(self.file))
    }
}

/// The shell of this name.
pub(crate) fn find(name: &str) -> Option<&'static Shell> {
    SHELLS.iter().find(|shell| shell.name == name)
}

/// The shell that is meant: the one named, or the one that `$SHELL` says the user works in.
///
/// # Errors
/// In the words of the official CLI, if there is none or it is not one of ours.
pub(crate) fn meant(named: Option<&str>, env: &Env) -> Result<&'static Shell, Failure> {
    let name = match named {
        Some(name) => Cow::Borrowed(name),
        None => {
            let path = env.path(env::SHELL).ok_or_else(|| Failure::new("could not detect shell: $SHELL is not set. Use --shell to specify your shell"))?;
            match path.file_stem().unwrap_or_default().to_string_lossy() {
                name if name == "pwsh" => Cow::Borrowed("powershell"),
                name => Cow::Owned(name.into_owned()),
            }
        }
    };
    find(&name).ok_or_else(|| {
        let names: Vec<&str> = SHELLS.iter().map(|shell| shell.name).collect();
        Failure::new(format!("unsupported shell {}: supported shells are {}", text::quoted(&name), names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_named_or_detected() {
        let said = |named: Option<&str>, shell: &str| {
            let env = if shell.is_empty() { Env::default() } else { Env::default().with(env::SHELL, shell) };
            meant(named, &env).map(|shell| shell.name).map_err(|failure| failure.to_string())
        };
        assert_eq!(said(None, "/usr/local/bin/fish"), Ok("fish"));
        assert_eq!(said(None, "/usr/bin/pwsh"), Ok("powershell"));
        assert_eq!(said(Some("powershell5"), "/bin/bash"), Ok("powershell5"));
        assert_eq!(said(None, ""), Err("could not detect shell: $SHELL is not set. Use --shell to specify your shell".to_owned()));
        let refusal = "unsupported shell \"tcsh\": supported shells are bash, zsh, fish, powershell, powershell5";
        assert_eq!(said(None, "/bin/tcsh"), Err(refusal.to_owned()));
        assert_eq!(said(Some("tcsh"), "/bin/bash"), Err(refusal.to_owned()));
    }

    #[test]
    fn startup_files_move_with_the_variables_that_move_them() {
        let env = Env::default().with(env::HOME, "/home/u");
        let of = |env: &Env| SHELLS.iter().map(|shell| shell.startup_file(env).expect("a file").display().to_string()).collect::<Vec<_>>();
        assert_eq!(of(&env)[..3], ["/home/u/.bashrc", "/home/u/.zshrc", "/home/u/.config/fish/completions/databricks.fish"]);
        let moved = env.with(env::ZDOTDIR, "/z").with(env::XDG_CONFIG_HOME, "/c");
        assert_eq!(of(&moved)[..3], ["/home/u/.bashrc", "/z/.zshrc", "/c/fish/completions/databricks.fish"]);
        find("bash").expect("bash").startup_file(&Env::default()).expect_err("no home");
    }

    /// PowerShell is in no Debian; what its script must and must not do can be read off it.
    #[test]
    fn no_script_evaluates_text_or_knows_where_the_program_is() {
        for shell in SHELLS {
            let code: Vec<&str> = shell.script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
            let code = code.join("\n");
            for word in ["eval ", "Invoke-Expression", "iex ", "/usr", "target/", "compgen"] {
                assert!(!code.contains(word), "{} has {word}", shell.name);
            }
            assert_eq!(code.matches(answer::WITH_DESCRIPTIONS).count(), 1, "{}", shell.name);
            let bare = shell.script(false);
            assert!(bare.contains(answer::WITHOUT_DESCRIPTIONS) && !bare.contains(&format!("{} ", answer::WITH_DESCRIPTIONS)), "{}", shell.name);
        }
    }

    #[test]
    fn the_powershell_script_is_whole() {
        let script = POWERSHELL_SCRIPT;
        for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
            let code: String = script.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| line.replace("'^-[^=]*='", "") + "\n").collect();
            assert_eq!(code.matches(open).count(), code.matches(close).count(), "{open}");
        }
        for part in ["Register-ArgumentCompleter -Native -CommandName 'databricks'", "EscapeSingleQuotedStringContent", "CompletionResult]::new($text, $value"]
        {
            assert!(script.contains(part), "{part}");
        }
        assert!(script.is_ascii(), "Windows PowerShell reads scripts in the code page of the machine");
    }
}
