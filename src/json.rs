//! JSON as it comes from services and stands in files: read by [`Scanner`], which is quick and takes exactly what serde takes, up to [`DEEPEST`] levels; the tests here hold the two together.

pub(crate) use databricks_hot::json::{DEEPEST, Member, Scanner};

/// Text that is JSON, or nearly: for tests that hold two readers together.
#[cfg(test)]
pub(crate) fn any_nearly_json() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"",
        "\\",
        "\"a\"",
        "\"items\"",
        "\"next_page_token\"",
        "\"startIndex\"",
        "\"totalResults\"",
        "\"a\\u00e9b\"",
        "\"\\ud800\"",
        "\"\\u12\"",
        "\"\\x\"",
        "\"tab\t\"",
        "\"eight characters and more\"",
        "\"quote at eight: \\\" \"",
        "\"ä€😀 längere Zeichen\"",
        "0",
        "-0",
        "01",
        "-",
        "12.5e+3",
        "1.",
        "1e",
        ".5",
        "9007199254740993",
        "true",
        "false",
        "null",
        "nul",
        "{}",
        "[]",
        "[{}]",
        "{\"a\":1}",
        "\"\u{7f}<>&\"",
        "\u{c}",
        "\u{a0}",
        "\n          ",
        "12345678901234567890.123456789e-123456789",
    ];
    // Beyond what is looked at nearby, with something at its end.
    let long = (0_usize..300, prop::sample::select(vec!["", "\\n", "\\u00e9", "\\x", "\t", "ä", "\\\"", "&"]))
        .prop_map(|(length, end)| format!("\"{}{end}\"", "x".repeat(length)));
    let piece = prop_oneof![8 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => long.clone()];
    let soup = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "-0",
            "1.50",
            "1E400",
            "12345678901234567890123",
            "{}",
            "[]",
            "\"\\ud83d\\ude00\"",
            "\"\\ud800\"",
            "\"\\/\\n\""
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        long,
    ];
    let keys = || {
        prop::sample::select(vec![
            "a",
            "b",
            "items",
            "next_page_token",
            "prev_page_token",
            "startIndex",
            "totalResults",
            "\\u0061",
            "ä",
            "z\\n",
            "next_page_size",
            "",
        ])
    };
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec((keys(), inner), 0..5).prop_map(|members| format!(
                "{{{}}}",
                members.iter().map(|(key, value)| format!("\n            \"{key}\":{value} ")).collect::<Vec<_>>().join(",")
            )),
        ]
    });
    let cut = (value.clone(), any::<prop::sample::Index>(), soup.clone()).prop_map(|(mut text, place, piece)| {
        let at = (0..=place.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.insert_str(at, &piece);
        text
    });
    prop_oneof![value, cut, soup]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::borrow::Cow;

    use serde_json::value::RawValue;

    use super::*;

    fn whole(text: &str) -> Option<&str> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value()?;
        scanner.is_done().then_some(value)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]
        #[test]
        fn it_takes_what_serde_takes(text in any_nearly_json()) {
            let slow = serde_json::from_str::<&RawValue>(&text).ok().map(RawValue::get);
            prop_assert_eq!(whole(&text), slow, "{}", text);
        }
    }

    #[test]
    fn every_byte_in_every_place_of_a_word_is_judged_alike() {
        for byte in 0..0x80_u8 {
            for place in (0..20).chain(120..200) {
                let text = format!("\"{}{}{}\"", "x".repeat(place), char::from(byte), "y".repeat(219 - place));
                assert_eq!(whole(&text).is_some(), serde_json::from_str::<&RawValue>(&text).is_ok(), "{text:?}");
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(whole(&nested(DEEPEST)).is_some());
        assert_eq!(whole(&nested(DEEPEST + 1)), None);
        assert_eq!(whole(&nested(1_000_000)), None);
    }

    #[test]
    fn strings_are_decoded() {
        let decoded = |text: &str| Scanner::new(text).string()?.decoded(text).map(Cow::into_owned);
        assert_eq!(decoded(r#" "plain ä""#).as_deref(), Some("plain ä"));
        assert_eq!(decoded(r#""a\n\u00e9\ud83d\ude00""#).as_deref(), Some("a\né😀"));
        assert_eq!(decoded(r#""\ud800""#), None);
    }
}
