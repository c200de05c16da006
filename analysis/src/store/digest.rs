//! Digests of JSON: a file that was damaged or edited is not what was measured.

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// JSON with keys sorted at every depth and no white space: equal values give equal text.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}

/// SHA-256 of the [`canonical`] text of a value, in lower-case hexadecimal digits.
#[must_use]
pub fn digest(value: &Value) -> String {
    let bytes = Sha256::digest(canonical(value).as_bytes());
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_white_space_do_not_count() {
        let parsed = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let value = parsed(r#"{"b": [ {"d": 1.50, "c": null} ], "a": "é"}"#);
        assert_eq!(canonical(&value), r#"{"a":"é","b":[{"c":null,"d":1.5}]}"#);
        let moved = parsed(r#"{"a":"é","b":[{"c":null,"d":1.5}]}"#);
        assert_eq!(digest(&value), digest(&moved));
        assert_ne!(digest(&value), digest(&parsed(r#"{"a":"é"}"#)));
        // That of the two bytes `{}`, as `printf {} | sha256sum` prints it.
        assert_eq!(
            digest(&parsed("{ }")),
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }
}
