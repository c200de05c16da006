//! Cutting a token stream into windows.

use crate::error::{EvalError, Result};
use serde::{Deserialize, Serialize};

/// The windows that a text is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Windows {
    /// Tokens prefilled at the start of each window, not scored.
    pub prefill: usize,
    /// Predictions scored in each window.
    pub score: usize,
    /// Windows wanted; a short text gives fewer, and the result says so.
    pub count: usize,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            prefill: 512,
            score: 256,
            count: 8,
        }
    }
}

/// Where the windows of one text are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// First token of each window, ascending.
    pub starts: Vec<usize>,
    /// Tokens each window takes from the text.
    pub tokens_per_window: usize,
}

impl Windows {
    /// Tokens one window takes from a text: prefilled and scored ones, and the last target.
    #[must_use]
    pub fn tokens_per_window(&self) -> usize {
        self.prefill.saturating_add(self.score).saturating_add(1)
    }

    /// Places up to `count` windows in a text of `tokens` tokens: without overlap, the first at
    /// its start, the others at equal distances over the whole of it.
    ///
    /// # Errors
    /// No windows or no scored tokens asked for; a text too short for one window.
    pub fn cut(&self, tokens: usize) -> Result<Cut> {
        if self.score == 0 {
            return Err(EvalError::parameter("windows.score", 0, "at least 1"));
        }
        if self.count == 0 {
            return Err(EvalError::parameter("windows.count", 0, "at least 1"));
        }
        let needed = self.tokens_per_window();
        let count = self.count.min(tokens / needed);
        if count == 0 {
            return Err(EvalError::TextTooShort {
                needed,
                available: tokens,
            });
        }
        let (stride, rest) = (tokens / count, tokens % count);
        let starts = (0..count)
            .map(|index| index * stride + index * rest / count)
            .collect();
        Ok(Cut {
            starts,
            tokens_per_window: needed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_text_says_what_it_lacks() {
        let windows = Windows {
            prefill: 10,
            score: 5,
            count: 3,
        };
        let error = windows.cut(15).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the text has 15 tokens: one window needs 16"
        );
        assert!(!error.hints().is_empty());
        assert_eq!(windows.cut(16).unwrap().starts, [0]);
        assert_eq!(windows.cut(40).unwrap().starts, [0, 20]);
        assert_eq!(windows.cut(100).unwrap().starts, [0, 33, 66]);
    }

    #[test]
    fn nothing_to_do_is_an_error() {
        assert!(
            Windows {
                prefill: 1,
                score: 0,
                count: 1
            }
            .cut(100)
            .is_err()
        );
        assert!(
            Windows {
                prefill: 1,
                score: 1,
                count: 0
            }
            .cut(100)
            .is_err()
        );
        let huge = Windows {
            prefill: usize::MAX,
            score: usize::MAX,
            count: 1,
        };
        assert!(huge.cut(100).is_err());
    }

    proptest! {
        #[test]
        fn windows_never_overlap_and_stay_inside(
            prefill in 0_usize..50, score in 1_usize..50, count in 1_usize..20, tokens in 0_usize..3000,
        ) {
            let windows = Windows { prefill, score, count };
            let Ok(cut) = windows.cut(tokens) else {
                prop_assert!(tokens < windows.tokens_per_window());
                return Ok(());
            };
            prop_assert_eq!(cut.starts.len(), count.min(tokens / windows.tokens_per_window()));
            let ends = cut.starts.iter().map(|start| start + cut.tokens_per_window);
            let next = cut.starts[1..].iter().copied().chain([tokens]);
            for (end, next) in ends.zip(next) {
                prop_assert!(end <= next);
            }
        }
    }
}
