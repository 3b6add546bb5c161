//! Spans of time as people type them: `90d`, `12h`, `30m`, `45s`, or several of them (`1h30m`).

/// The span in whole seconds.
///
/// # Errors
/// With what a span looks like.
pub(crate) fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("time: invalid duration {}; write it as 90d, 12h, 30m or 45s", crate::text::quoted(text));
    let mut total: i64 = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].chars().next().ok_or_else(wrong)?;
        let factor = match unit {
            'w' => 7 * 86_400,
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return Err(wrong()),
        };
        total = number.checked_mul(factor).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    if total > 0 { Ok(total) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_sums_of_units() {
        for (text, expected) in [("90d", 7_776_000), ("12h", 43_200), ("1h30m", 5_400), ("2w", 1_209_600), (" 45s ", 45)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "90", "d", "1y", "-1d", "0s", "1.5h", "99999999999999999999d", "9999999999999999d", "1dä"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
