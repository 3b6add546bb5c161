//! What may be written to the profile file: only text that Go's and Python's readers, and ours, give back as it is.

use crate::config::document::DEFAULT_SECTION;
use crate::error::Failure;
use crate::text;

/// The section that is not a profile but holds the tool's own settings.
pub(crate) const SETTINGS_SECTION: &str = "__settings__";

/// Longest profile name and value: generous for people and tokens, and far from what would hurt a reader.
const LONGEST_NAME: usize = 255;
const LONGEST_VALUE: usize = 16 * 1024;

/// Whether a profile may be written under this name.
///
/// # Errors
/// With the reason, the name shown with its odd characters escaped.
pub(crate) fn check_profile_name(name: &str) -> Result<(), Failure> {
    let refuse = |why: &str| {
        Err(Failure::new(format!("{} cannot be a profile name: {why}", text::quoted(name)))
            .hint("Use letters, digits, '-', '_' and '.', such as: --profile my-workspace"))
    };
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name == SETTINGS_SECTION {
        return Err(Failure::new(format!("profile name {name:?} is reserved for internal use")));
    }
    if name != DEFAULT_SECTION && name.eq_ignore_ascii_case(DEFAULT_SECTION) {
        return refuse("it differs from DEFAULT by case only, which some tools do not tell apart");
    }
    if name.len() > LONGEST_NAME {
        return refuse("it is longer than 255 bytes");
    }
    if name.trim() != name {
        return refuse("it begins or ends with a space");
    }
    if let Some(odd) = name.chars().find(|c| text::is_unsafe(*c) || matches!(c, '[' | ']')) {
        return refuse(&format!("it contains {}", odd.escape_default()));
    }
    // The name of the default profile is a value too.
    if let Some(why) = not_plain(name) {
        return refuse(&why);
    }
    Ok(())
}

/// Whether a value can be written such that every reader gives it back unchanged. The message never quotes the value: it may be a secret.
///
/// # Errors
/// With the reason.
pub(crate) fn check_value(key: &str, value: &str) -> Result<(), Failure> {
    match not_plain(value) {
        None => Ok(()),
        Some(why) => Err(Failure::new(format!("the {key} cannot be written to the profile file: {why}"))),
    }
}

/// Why some reader would not give this value back as it is.
fn not_plain(value: &str) -> Option<String> {
    let why = match () {
        () if value.is_empty() => "it is empty",
        () if value.len() > LONGEST_VALUE => "it is longer than 16 kB",
        () if value.trim() != value => "it begins or ends with a space",
        () if value.starts_with(['"', '\'', '`']) => "it begins with a quote, which Go programs take off and Python programs keep",
        () if value.ends_with('\\') => "it ends with a backslash, which Go programs join with the next line",
        () if value.contains(" #") || value.contains(" ;") || value.starts_with(['#', ';']) => {
            "it contains a space and then # or ;, where Go programs begin a comment"
        }
        () if value.contains('%') => "it contains %, which Python programs try to interpolate",
        () => return value.chars().find(|c| text::is_unsafe(*c)).map(|odd| format!("it contains {}", odd.escape_default())),
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_change_the_file_are_refused() {
        for name in ["", "a]\n[evil", "a\rb", "a\u{1b}[2J", " a", "a ", "a]b", "[a", "__settings__", "default", "\"a\"", "#a", "a\\", "50%", &"x".repeat(256)] {
            let error = check_profile_name(name).expect_err(name);
            assert!(!error.to_string().contains(text::is_unsafe), "{error}");
        }
        for name in ["DEFAULT", "a", "my profile", "ü", "../../x", "-rf", "a;b", "evil$(touch x)"] {
            check_profile_name(name).expect(name);
        }
    }

    #[test]
    fn values_that_readers_disagree_about_are_refused_without_being_shown() {
        for value in
            ["", " s3cret", "s3cret ", "s3c\nret", "\"s3cret\"", "'s3cret", "`s3cret", "s3cret\\", "s3 #cret", "s3 ;cret", "#s3cret", "s3%cret", "s3\u{0}cret"]
        {
            let error = check_value("token", value).expect_err(value).to_string();
            assert!(!error.contains("s3") && error.contains("token"), "{error}");
        }
        for value in ["dapi0123", "a#b;c", "a=b:c", "a\\b", "it's", "https://h.example", "p@ss word!"] {
            check_value("token", value).expect(value);
        }
    }
}
