//! Programs on a pseudo-terminal.

pub(crate) mod pty;

use std::process::Command;

use pty::Pty;

#[expect(clippy::disallowed_methods, reason = "a program that is not ours shows that the driver works")]
fn shell(script: &str) -> Pty {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Pty::spawn(&command)
}

#[test]
fn a_program_hears_what_is_typed_and_its_exit_code_is_known() {
    let mut pty = shell("printf 'name? '; read name; echo \"hello $name\"; exit 3");
    pty.wait_for("name? ");
    assert!(pty.is_cooked());
    pty.send("ann\n");
    assert_eq!(pty.wait().code(), Some(3));
    assert_eq!(pty.screen(), "name? ann\nhello ann");
}

#[test]
fn a_terminal_left_without_echo_is_noticed() {
    let mut pty = shell("stty -echo; echo done");
    pty.wait();
    assert!(!pty.is_cooked());
}

#[test]
fn a_hang_up_reaches_the_program() {
    use std::os::unix::process::ExitStatusExt;
    let mut pty = shell("echo ready; read name");
    pty.wait_for("ready");
    pty.hang_up();
    assert_eq!(pty.wait().signal(), Some(1));
}
