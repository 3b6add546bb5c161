//! The `User-Agent` header, in the grammar of the Databricks SDKs: pairs of `name/value`, so that the service's logs tell who called.

use uuid::Uuid;

use crate::env::{self, Env};

/// How much of a terminal the command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interactive {
    /// Neither prompts nor terminal output.
    None,
    /// Output goes to a terminal, but nobody can be asked.
    Output,
    /// The user can be asked.
    Full,
}

/// Longest value that is taken over from the environment.
const LONGEST_VALUE: usize = 64;

/// The header's text, with a gap for the auth type, which is known only once a request is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserAgent {
    head: String,
    tail: String,
}

impl UserAgent {
    /// For a command such as `tokens_create` in the process `execution`.
    pub(crate) fn new(env: &Env, command: Option<&str>, execution: Uuid, interactive: Interactive) -> Self {
        let mut head = format!("databricks-auth-cli/{} os/{}", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
        if let Some(command) = command {
            push(&mut head, "cmd", command);
            push(&mut head, "cmd-exec-id", &execution.to_string());
        }
        push(
            &mut head,
            "interactive",
            match interactive {
                Interactive::None => "none",
                Interactive::Output => "output",
                Interactive::Full => "full",
            },
        );
        for (name, version) in [(env::UPSTREAM, env::UPSTREAM_VERSION), (env::SDK_UPSTREAM, env::SDK_UPSTREAM_VERSION)] {
            if let Some(upstream) = env.get(name) {
                push(&mut head, "upstream", upstream);
                if let Some(version) = env.get(version) {
                    push(&mut head, "upstream-version", version);
                }
                break;
            }
        }
        let mut tail = String::new();
        if let Some(system) = ci_system(env) {
            push(&mut tail, "cicd", system);
        }
        if let Some(runtime) = env.get(env::RUNTIME_VERSION) {
            push(&mut tail, "runtime", runtime);
        }
        if let Some(agent) = agent(env) {
            push(&mut tail, "agent", agent);
        }
        Self { head, tail }
    }

    /// The header for a request signed by this auth type; for none, as token endpoints and metadata see it.
    pub(crate) fn for_auth(&self, auth_type: Option<&str>) -> String {
        let mut text = self.head.clone();
        if let Some(auth_type) = auth_type {
            push(&mut text, "auth", auth_type);
        }
        text + &self.tail
    }
}

/// Appends ` name/value`; every character outside the grammar becomes `-`.
fn push(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() || name != "databricks-auth-cli" {
        out.push(' ');
    }
    out.push_str(name);
    out.push('/');
    out.extend(value.chars().take(LONGEST_VALUE).map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-') { c } else { '-' }));
}

fn ci_system(env: &Env) -> Option<&'static str> {
    let matches = |(name, expected): &(&str, Option<&str>)| env.get(name).is_some_and(|value| expected.is_none_or(|expected| value == expected));
    env::CI_SYSTEMS.iter().find(|(_, marks)| marks.iter().all(matches)).map(|(system, _)| *system)
}

fn agent(env: &Env) -> Option<&str> {
    let mut present = env::AGENTS.iter().filter(|(_, name)| env.get(name).is_some()).map(|(agent, _)| *agent);
    match (present.next(), present.next()) {
        (Some(_), Some(_)) => Some("multiple"),
        (Some(agent), None) => Some(agent),
        _ => env::AGENT_NAMES.iter().find_map(|name| env.get(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent_of(env: &Env) -> String {
        UserAgent::new(env, Some("tokens_create"), Uuid::nil(), Interactive::None).for_auth(Some("pat"))
    }

    #[test]
    fn the_grammar_is_that_of_the_sdks() {
        let start = format!(
            "databricks-auth-cli/{} os/{} cmd/tokens_create cmd-exec-id/00000000-0000-0000-0000-000000000000 interactive/none",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS
        );
        assert_eq!(agent_of(&Env::default()), format!("{start} auth/pat"));
        let env = Env::default()
            .with("DATABRICKS_CLI_UPSTREAM", "my tool\r\nX: y")
            .with("DATABRICKS_CLI_UPSTREAM_VERSION", "1.2.3")
            .with("GITHUB_ACTIONS", "true")
            .with("CLAUDECODE", "1");
        assert_eq!(agent_of(&env), format!("{start} upstream/my-tool--X--y upstream-version/1.2.3 auth/pat cicd/github agent/claude-code"));
        assert!(!UserAgent::new(&env, None, Uuid::nil(), Interactive::Full).for_auth(None).contains("auth/"));
    }

    #[test]
    fn marks_must_match() {
        assert!(!agent_of(&Env::default().with("GITHUB_ACTIONS", "false")).contains("cicd"));
        assert!(!agent_of(&Env::default().with("PROJECT_ID", "x")).contains("cicd"));
        assert!(agent_of(&Env::default().with("CLAUDECODE", "1").with("OPENCODE", "1")).ends_with("agent/multiple"));
        assert!(agent_of(&Env::default().with("AI_AGENT", &"x".repeat(200))).ends_with(&format!("agent/{}", "x".repeat(LONGEST_VALUE))));
    }
}
