//! How tokens pass through a cache while it is measured.

use crate::error::{EvalError, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How the scored tokens of a window pass through the cache.
///
/// Every window starts from an empty cache. Its first tokens are prefilled and compressed as the
/// cache's own prefill mode says, and not scored: with exact prefill they never meet the
/// compressed cache. The tokens after them are teacher-forced, and each prediction made while
/// doing so is scored.
///
/// Written `decode`, `chunked:16`, `simulated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Protocol {
    /// One token per forward: append, let the strategy run, predict. What generation does, and
    /// the one to report.
    #[default]
    Decode,
    /// So many tokens per forward, for speed. Inside a chunk, attention sees the full-precision
    /// keys and values of the chunk, so results are optimistic unless the chunk is no longer than
    /// the full-precision window of the strategy.
    Chunked(usize),
    /// Every query sees the encoded keys and values of all positions, its own included, from one
    /// forward without a cache, as some papers evaluate. **Refused by the drivers**: it needs a
    /// fake quantiser in the place of a cache. A real cache hands a token's own keys and values
    /// to attention before it encodes them, and what it does to windows, budgets and
    /// re-allocation would not be part of the number. It has a name so that records of such
    /// numbers can be labelled.
    Simulated,
}

impl Protocol {
    /// Tokens per forward while scoring.
    ///
    /// # Errors
    /// A chunk of no tokens, or [`Simulated`](Self::Simulated).
    pub fn tokens_per_forward(self) -> Result<usize> {
        match self {
            Self::Decode => Ok(1),
            Self::Chunked(0) => Err(self.refuse("a chunk has at least 1 token")),
            Self::Chunked(tokens) => Ok(tokens),
            Self::Simulated => Err(self.refuse(
                "a real cache encodes a token after attending to it, so every position cannot be \
                 seen encoded",
            )),
        }
    }

    fn refuse(self, reason: &str) -> EvalError {
        EvalError::Protocol {
            given: self.to_string(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode => f.write_str("decode"),
            Self::Chunked(tokens) => write!(f, "chunked:{tokens}"),
            Self::Simulated => f.write_str("simulated"),
        }
    }
}

impl FromStr for Protocol {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self> {
        let fail = |reason: &str| EvalError::Protocol {
            given: text.into(),
            reason: reason.into(),
        };
        match text.split_once(':') {
            None if text == "decode" => Ok(Self::Decode),
            None if text == "simulated" => Ok(Self::Simulated),
            None if text == "chunked" => Err(fail("say how many tokens, as in `chunked:16`")),
            Some(("chunked", tokens)) => match tokens.parse() {
                Ok(0) | Err(_) => Err(fail("expected a number of tokens above 0 after the colon")),
                Ok(tokens) => Ok(Self::Chunked(tokens)),
            },
            _ => Err(fail("unknown")),
        }
    }
}

impl TryFrom<String> for Protocol {
    type Error = EvalError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        protocol.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_round_trip() {
        for (text, protocol) in [
            ("decode", Protocol::Decode),
            ("chunked:16", Protocol::Chunked(16)),
            ("simulated", Protocol::Simulated),
        ] {
            assert_eq!(text.parse::<Protocol>().unwrap(), protocol);
            assert_eq!(protocol.to_string(), text);
            let json = serde_json::to_string(&protocol).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Protocol>(&json).unwrap(), protocol);
        }
    }

    #[test]
    fn nonsense_is_refused_with_advice() {
        for text in [
            "",
            "Decode",
            "chunked",
            "chunked:",
            "chunked:0",
            "chunked:-1",
            "decode:2",
        ] {
            let error = text.parse::<Protocol>().unwrap_err();
            assert!(!error.hints().is_empty(), "{error}");
        }
    }

    #[test]
    fn simulated_cannot_be_run() {
        let error = Protocol::Simulated.tokens_per_forward().unwrap_err();
        assert!(
            error.to_string().contains("encodes a token after"),
            "{error}"
        );
        assert!(error.hints()[0].contains("prefill of 0"));
        assert!(Protocol::Chunked(0).tokens_per_forward().is_err());
        assert_eq!(Protocol::Chunked(7).tokens_per_forward().unwrap(), 7);
    }
}
