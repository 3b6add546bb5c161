//! `completion install`, `status`, `uninstall`: one block in a file that is somebody else's.

use std::fs;
use std::process::{Command, Output};

use super::{Home, PROGRAM};

const BLOCK: &str = "# BEGIN databricks-cli completion\neval \"$(databricks completion bash)\"\n# END databricks-cli completion\n";

impl Home {
    fn completion(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.completion_command(arguments, environment).output().unwrap()
    }

    fn completion_command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = self.command(PROGRAM);
        command.arg("completion").args(arguments).env("SHELL", "/bin/bash").envs(environment.iter().copied());
        command
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.completion(arguments, &[]);
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.completion(arguments, &[]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn the_block_comes_once_and_goes_without_a_trace() {
    let home = Home::new();
    let file = home.path(".bashrc").display().to_string();
    let before = "export A=1\r\n# mine: \u{e9}\n\n\n";
    home.write(".bashrc", before);
    assert_eq!(home.said(&["status"]), format!("Shell:   bash\nFile:    {file}\nStatus:  not installed\n"));
    assert_eq!(
        home.said(&["install", "--auto-approve"]),
        format!("Databricks CLI completions installed for bash.\nRestart your shell or run 'source {file}' to activate.\n")
    );
    assert_eq!(home.read(".bashrc"), format!("{before}{BLOCK}"));
    assert_eq!(home.said(&["install"]), format!("Databricks CLI completions are already installed for bash in {file}.\n"));
    assert_eq!(home.said(&["status", "--shell", "bash"]), format!("Shell:   bash\nFile:    {file}\nStatus:  installed\n"));
    fs::write(home.path(".bashrc"), format!("{before}{BLOCK}alias l=ls")).unwrap();
    assert_eq!(home.said(&["uninstall", "--auto-approve"]), format!("Databricks CLI completions removed for bash from {file}.\n"));
    assert_eq!(home.read(".bashrc"), format!("{before}alias l=ls"));
    assert_eq!(home.said(&["uninstall"]), "Databricks CLI completions were not installed for bash.\n");
}

#[test]
fn each_shell_has_its_file_and_folders_are_made() {
    for (shell, file, loader) in [
        ("bash", ".bashrc", "eval \"$(databricks completion bash)\""),
        ("zsh", ".zshrc", "eval \"$(databricks completion zsh)\""),
        ("fish", ".config/fish/completions/databricks.fish", "databricks completion fish | source"),
        ("powershell", ".config/powershell/Microsoft.PowerShell_profile.ps1", "databricks completion powershell | Out-String | Invoke-Expression"),
        ("powershell5", ".config/powershell/Microsoft.PowerShell_profile.ps1", "databricks completion powershell | Out-String | Invoke-Expression"),
    ] {
        let home = Home::new();
        home.said(&["install", "--shell", shell, "--auto-approve"]);
        assert_eq!(home.read(file), format!("# BEGIN databricks-cli completion\n{loader}\n# END databricks-cli completion\n"));
        home.said(&["uninstall", "--shell", shell, "--auto-approve"]);
        assert!(!home.path(file).exists(), "a file that held nothing else goes with the block");
    }
}

#[test]
fn nothing_is_written_that_nobody_agreed_to() {
    let home = Home::new();
    assert_eq!(home.refusal(&["install"]), "Error: please specify --auto-approve to skip confirmation in non-interactive mode\n");
    assert!(!home.path(".bashrc").exists());
    home.said(&["install", "--auto-approve"]);
    assert!(home.refusal(&["uninstall"]).contains("--auto-approve"));
    assert_eq!(home.read(".bashrc"), BLOCK);
    assert_eq!(
        home.refusal(&["install", "--shell", "tcsh"]),
        "Error: unsupported shell \"tcsh\": supported shells are bash, zsh, fish, powershell, powershell5\n"
    );
    let output = home.completion_command(&["status"], &[]).env_remove("SHELL").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Error: could not detect shell: $SHELL is not set. Use --shell to specify your shell\n");
    assert!(home.refusal(&["install", "--nope"]).starts_with("Error: unknown flag: --nope\n"));
}

#[test]
fn zsh_without_compinit_is_told_so() {
    let home = Home::new();
    home.write(".zshrc", "# compinit\n");
    assert!(!home.said(&["status", "--shell", "zsh"]).contains("Warning"));
    assert!(home.said(&["install", "--shell", "zsh", "--auto-approve"]).contains("Warning: "));
    assert!(home.said(&["status", "--shell", "zsh"]).contains("autoload -Uz compinit && compinit"));
    home.write(".zshrc", &format!("autoload -Uz compinit && compinit\n{}", home.read(".zshrc")));
    assert!(!home.said(&["status", "--shell", "zsh"]).contains("Warning"));
    let moved = home.completion(&["status", "--shell", "zsh"], &[("ZDOTDIR", "/z")]);
    assert!(String::from_utf8_lossy(&moved.stderr).contains("File:    /z/.zshrc\nStatus:  not installed\n"));
}

#[cfg(unix)]
mod files {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(home: &Home, name: &str) -> u32 {
        fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(home: &Home, name: &str, mode: u32) {
        fs::set_permissions(home.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_file_keeps_its_mode_and_a_link_its_target() {
        let home = Home::new();
        home.write("dotfiles/bashrc", "mine\n");
        symlink("dotfiles/bashrc", home.path(".bashrc")).unwrap();
        for mode_before in [0o644, 0o600, 0o755] {
            set_mode(&home, "dotfiles/bashrc", mode_before);
            home.said(&["install", "--auto-approve"]);
            assert_eq!((mode(&home, "dotfiles/bashrc"), home.read("dotfiles/bashrc")), (mode_before, format!("mine\n{BLOCK}")));
            home.said(&["uninstall", "--auto-approve"]);
            assert_eq!((mode(&home, "dotfiles/bashrc"), home.read("dotfiles/bashrc").as_str()), (mode_before, "mine\n"));
        }
        assert!(fs::symlink_metadata(home.path(".bashrc")).unwrap().is_symlink());
    }

    #[test]
    fn a_read_only_file_is_left_alone() {
        let home = Home::new();
        home.write(".bashrc", "mine\n");
        set_mode(&home, ".bashrc", 0o444);
        let refusal = home.refusal(&["install", "--auto-approve"]);
        assert!(refusal.contains("read-only") && refusal.contains("eval \"$(databricks completion bash)\""), "{refusal}");
        assert_eq!(home.read(".bashrc"), "mine\n");
    }

    #[test]
    fn a_block_without_an_end_is_an_error_with_its_line() {
        let home = Home::new();
        let text = "one\n# BEGIN databricks-cli completion\nlost\n";
        home.write(".bashrc", text);
        for word in ["install", "uninstall", "status"] {
            assert!(home.refusal(&[word]).contains(".bashrc:2: "));
        }
        assert_eq!(home.read(".bashrc"), text);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_is_asked() {
    use crate::terminal::pty::Pty;
    let home = Home::new();
    for (answer, installed) in [("n\r", false), ("y\r", true)] {
        let mut command = home.completion_command(&["install"], &[("TERM", "xterm")]);
        command.current_dir(home.path(""));
        let mut pty = Pty::spawn(&command);
        pty.wait_for(".bashrc?");
        pty.wait_raw();
        pty.send(answer);
        assert!(pty.wait().success());
        assert_eq!(home.path(".bashrc").exists(), installed);
    }
}

/// The whole way: install, start the shell, press Tab.
#[cfg(target_os = "linux")]
#[test]
fn what_install_wrote_works_in_the_next_shell() {
    use crate::terminal::pty::Pty;
    for (shell, startup) in [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/config.fish")] {
        let home = Home::with_profiles(["only one"]);
        fs::create_dir(home.path("bin")).unwrap();
        std::os::unix::fs::symlink(PROGRAM, home.path("bin/databricks")).unwrap();
        let prompt = match shell {
            "bash" => "PS1='ready> '\n",
            "zsh" => "PS1='ready> '\nautoload -Uz compinit && compinit -u -D\n",
            _ => "function fish_prompt; echo 'ready> '; end; function fish_greeting; end\n",
        };
        home.write(startup, prompt);
        home.said(&["install", "--shell", shell, "--auto-approve"]);
        let mut command = home.command(shell);
        command.arg("-i").env("TERM", "xterm").env("LANG", "C.UTF-8").env("PATH", format!("{}:/usr/bin:/bin", home.path("bin").display()));
        let mut pty = Pty::sized(&command, 24, 100);
        pty.wait_for("ready> ");
        pty.send("databricks auth describe --profile on\t");
        pty.wait_until("the completed name", |screen| screen.contents().contains("only\\ one"));
    }
}
