//! How many bytes a cache may hold.

use crate::error::{Error, Result};
use crate::shape::CacheShape;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A sequence shorter than this is budgeted as if it had this many tokens: a handful of tokens
/// is too small a cache to be worth compressing, and its first tokens are the sinks.
pub const GRACE_TOKENS: usize = 128;

/// A limit on the live bytes of a cache, metadata included.
///
/// Written `0.5` or `50%` (share of the f16 cache), `64MiB` (bytes, for all sequences together),
/// `512tok` (what that many f16 tokens take), or `4.5bit` (bits per cached element).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "BudgetText", try_from = "BudgetText")]
pub enum Budget {
    /// Share of what an f16 cache of the tokens seen would hold, in `(0, 1]`.
    Ratio(f64),
    /// Bytes, shared equally by the sequences of a batch.
    Bytes(u64),
    /// As many bytes as this number of f16 tokens takes, per sequence.
    Tokens(u64),
    /// Bits per cached element (16 is f16).
    Bits(f64),
}

impl Budget {
    /// Bytes that one sequence may hold after `seen` tokens, over all layers and kv heads.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked positive"
    )]
    pub fn bytes(&self, shape: &CacheShape, seen: usize) -> u64 {
        let token = (shape.layers * shape.kv_heads * shape.f16_row_bytes()) as u64;
        let full = token * seen.max(GRACE_TOKENS) as u64;
        match *self {
            Self::Ratio(ratio) => (ratio * full as f64).floor() as u64,
            Self::Bits(bits) => (bits / 16.0 * full as f64).floor() as u64,
            Self::Bytes(bytes) => bytes / shape.batch as u64,
            Self::Tokens(tokens) => token * tokens,
        }
    }

    /// The share of f16 that this budget grants every token, where it grows with the tokens.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        match *self {
            Self::Ratio(ratio) => Some(ratio),
            Self::Bits(bits) => Some(bits / 16.0),
            Self::Bytes(_) | Self::Tokens(_) => None,
        }
    }

    fn checked(self) -> Result<Self> {
        let bad = |expected: &str| {
            Err(Error::Budget {
                given: self.to_string(),
                reason: format!("expected {expected}"),
            })
        };
        match self {
            Self::Ratio(r) if !(r > 0.0 && r <= 1.0) => {
                bad("a share of the f16 cache above 0 and at most 1, such as 0.5")
            }
            Self::Bits(b) if !(b > 0.0 && b <= 16.0) => bad("above 0 and at most 16 bits"),
            Self::Bytes(0) | Self::Tokens(0) => bad("more than 0"),
            ok => Ok(ok),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(r) => write!(f, "{r}"),
            Self::Bits(b) => write!(f, "{b}bit"),
            Self::Tokens(t) => write!(f, "{t}tok"),
            Self::Bytes(b) => write!(f, "{b}B"),
        }
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let split = text
            .find(|c: char| c.is_ascii_alphabetic() || c == '%')
            .filter(|&i| i > 0);
        let (number, unit) = split.map_or((text, ""), |i| text.split_at(i));
        let unknown = || Error::Budget {
            given: text.to_string(),
            reason: "expected a share such as 0.5 or 50%, or a size such as 64MiB, 512tok, 4bit"
                .to_string(),
        };
        let value: f64 = number.trim().parse().map_err(|_| unknown())?;
        let whole = |scale: f64| -> Result<u64> {
            let n = value * scale;
            if !n.is_finite() || !(0.0..9.0e15).contains(&n) {
                return Err(unknown());
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked"
            )]
            let n = n.round() as u64;
            Ok(n)
        };
        match unit {
            "" => Self::Ratio(value),
            "%" => Self::Ratio(value / 100.0),
            "bit" | "bits" => Self::Bits(value),
            "tok" | "tokens" => Self::Tokens(whole(1.0)?),
            "B" => Self::Bytes(whole(1.0)?),
            "KiB" | "K" => Self::Bytes(whole(1024.0)?),
            "MiB" | "M" => Self::Bytes(whole(1024.0 * 1024.0)?),
            "GiB" | "G" => Self::Bytes(whole(1024.0 * 1024.0 * 1024.0)?),
            "kB" => Self::Bytes(whole(1e3)?),
            "MB" => Self::Bytes(whole(1e6)?),
            "GB" => Self::Bytes(whole(1e9)?),
            _ => return Err(unknown()),
        }
        .checked()
    }
}

/// Shares are written as numbers, everything else as text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BudgetText {
    Number(f64),
    Text(String),
}

impl From<Budget> for BudgetText {
    fn from(budget: Budget) -> Self {
        match budget {
            Budget::Ratio(ratio) => Self::Number(ratio),
            other => Self::Text(other.to_string()),
        }
    }
}

impl TryFrom<BudgetText> for Budget {
    type Error = Error;

    fn try_from(text: BudgetText) -> Result<Self> {
        match text {
            BudgetText::Number(ratio) => Self::Ratio(ratio).checked(),
            BudgetText::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_forms_mean_what_they_say() {
        let shape = CacheShape::new(2, 1, 4, 2, 64).unwrap();
        let bytes = |text: &str, seen| text.parse::<Budget>().unwrap().bytes(&shape, seen);
        let token = 2 * 2 * 256;
        assert_eq!(bytes("0.5", 1000), token * 500);
        assert_eq!(bytes("50%", 1000), token * 500);
        assert_eq!(bytes("4bit", 1000), token * 250);
        assert_eq!(bytes("512tok", 1000), token * 512);
        assert_eq!(bytes("64MiB", 1000), 64 << 20);
        assert_eq!(bytes("0.5", 1), token * GRACE_TOKENS as u64 / 2);
    }

    #[test]
    fn nonsense_is_refused_with_the_value() {
        for text in [
            "0",
            "-1",
            "NaN",
            "inf",
            "1.5",
            "120%",
            "abc",
            "",
            "4furlongs",
            "0tok",
            "17bit",
        ] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            assert!(error.starts_with("budget "), "{text}: {error}");
        }
    }

    #[test]
    fn serialises_as_written() {
        for text in ["0.5", "\"4.5bit\"", "\"512tok\"", "\"1024B\""] {
            let budget: Budget = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&budget).unwrap(), text);
        }
        assert!(serde_json::from_str::<Budget>("1.5").is_err());
    }
}
