//! Queries of links, in the form in which browsers send them: `application/x-www-form-urlencoded` of the URL standard.

/// The pairs as a query, in the order given; a space is `+`.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        encode_into(&mut query, name);
        query.push('=');
        encode_into(&mut query, value);
    }
    query
}

fn encode_into(query: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => query.push(char::from(byte)),
            b' ' => query.push('+'),
            _ => query.extend(['%', char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]),
        }
    }
}

/// The pairs of a query; `None` if one is not UTF-8 or a `%` is not followed by two hexadecimal digits.
pub(crate) fn decode(query: &str) -> Option<Vec<(String, String)>> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode_one(name)?, decode_one(value)?))
        })
        .collect()
}

fn decode_one(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                (digit()? << 4) | digit()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_look_as_the_official_ones() {
        assert_eq!(
            encode(&[("redirect_uri", "http://localhost:8020"), ("scope", "offline_access all-apis")]),
            "redirect_uri=http%3A%2F%2Flocalhost%3A8020&scope=offline_access+all-apis"
        );
    }

    #[test]
    fn broken_escapes_are_no_query() {
        for query in ["a=%", "a=%4", "a=%zz", "a=%+1", "%ff=1"] {
            assert_eq!(decode(query), None, "{query}");
        }
        let decoded = decode("a&b=&&=c=d").unwrap();
        let decoded: Vec<(&str, &str)> = decoded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(decoded, [("a", ""), ("b", ""), ("", "c=d")]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(pairs in proptest::collection::vec((".*", ".*"), 1..4)) {
            let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(decode(&encode(&borrowed)), Some(pairs));
        }
    }
}
