//! Cutting a token stream into windows.

use crate::error::{EvalError, Result};
use crate::random::Draws;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// How many windows are wanted: a number, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowCount {
    /// So many, spread over the text; a short one gives fewer, and the result says so.
    UpTo(usize),
    /// All there are, one right after another from the start, the tail dropped: how published
    /// perplexities are taken.
    All,
}

impl From<usize> for WindowCount {
    fn from(count: usize) -> Self {
        Self::UpTo(count)
    }
}

impl fmt::Display for WindowCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpTo(count) => count.fmt(f),
            Self::All => f.pad("all"),
        }
    }
}

impl FromStr for WindowCount {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "all" => Ok(Self::All),
            _ => text
                .parse()
                .map(Self::UpTo)
                .map_err(|_| EvalError::parameter("windows.count", text, "a whole number, or all")),
        }
    }
}

impl Serialize for WindowCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::UpTo(count) => count.serialize(serializer),
            Self::All => serializer.serialize_str("all"),
        }
    }
}

impl<'de> Deserialize<'de> for WindowCount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a whole number, or all")]
        enum Written {
            Number(usize),
            Word(String),
        }
        match Written::deserialize(from)? {
            Written::Number(count) => Ok(Self::UpTo(count)),
            Written::Word(word) => word.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// The windows that a text is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Windows {
    /// Tokens prefilled at the start of each window, not scored.
    pub prefill: usize,
    /// Predictions scored in each window.
    pub score: usize,
    /// Windows wanted.
    pub count: WindowCount,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            prefill: 512,
            score: 256,
            count: WindowCount::UpTo(8),
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

    /// Places the windows in a text of `tokens` tokens, without overlap and the first at its
    /// start: up to a number at equal distances over the whole of it, all of them end to end.
    ///
    /// # Errors
    /// No windows or no scored tokens asked for; a text too short for one window.
    pub fn cut(&self, tokens: usize) -> Result<Cut> {
        if self.score == 0 {
            return Err(EvalError::parameter("windows.score", 0, "at least 1"));
        }
        if self.count == WindowCount::UpTo(0) {
            return Err(EvalError::parameter("windows.count", 0, "at least 1"));
        }
        let needed = self.tokens_per_window();
        let fitting = tokens / needed;
        let count = match self.count {
            WindowCount::UpTo(count) => count.min(fitting),
            WindowCount::All => fitting,
        };
        if count == 0 {
            return Err(EvalError::TextTooShort {
                needed,
                available: tokens,
            });
        }
        let (stride, rest) = match self.count {
            WindowCount::UpTo(_) => (tokens / count, tokens % count),
            WindowCount::All => (needed, 0),
        };
        let starts = (0..count)
            .map(|index| index * stride + index * rest / count)
            .collect();
        Ok(Cut {
            starts,
            tokens_per_window: needed,
        })
    }
}

/// First of the key that [`Cut::drawn`] draws with.
const DRAWN: u64 = 0x77_69_6e_64_6f_77;

impl Cut {
    /// The same number of windows of a text of `tokens` tokens, each at a place drawn with `seed`
    /// between its own start and the next one's: other seeds read other tokens of the whole text.
    #[must_use]
    pub fn drawn(self, tokens: usize, seed: u64) -> Self {
        let Self {
            starts,
            tokens_per_window,
        } = self;
        let ends = starts.iter().skip(1).chain([&tokens]);
        let place = |(index, (&start, &end)): (usize, (&usize, &usize))| {
            let room = end.saturating_sub(start).saturating_sub(tokens_per_window);
            start + Draws::keyed([DRAWN, seed, index as u64, 0]).below(room + 1)
        };
        let drawn = starts.iter().zip(ends).enumerate().map(place).collect();
        Self {
            starts: drawn,
            tokens_per_window,
        }
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
            count: WindowCount::UpTo(3),
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
                count: WindowCount::UpTo(1)
            }
            .cut(100)
            .is_err()
        );
        assert!(
            Windows {
                prefill: 1,
                score: 1,
                count: WindowCount::UpTo(0)
            }
            .cut(100)
            .is_err()
        );
        let huge = Windows {
            prefill: usize::MAX,
            score: usize::MAX,
            count: WindowCount::UpTo(1),
        };
        assert!(huge.cut(100).is_err());
    }

    #[test]
    fn all_windows_stand_end_to_end() {
        // The numbers of WikiText-2 with the tokenizer of SmolLM2.
        let windows = Windows {
            prefill: 0,
            score: 2047,
            count: WindowCount::All,
        };
        let cut = windows.cut(304_978).unwrap();
        assert_eq!((cut.starts.len(), cut.tokens_per_window), (148, 2048));
        assert!(
            cut.starts
                .iter()
                .enumerate()
                .all(|(index, &start)| start == 2048 * index)
        );
        assert!(windows.cut(2047).is_err());
    }

    #[test]
    fn seeds_draw_other_places_and_the_same_ones_again() {
        let windows = Windows {
            prefill: 10,
            score: 5,
            count: WindowCount::UpTo(3),
        };
        let cut = windows.cut(1000).unwrap();
        let drawn = |seed| cut.clone().drawn(1000, seed).starts;
        assert_eq!(drawn(1), drawn(1));
        assert!(drawn(1) != drawn(2) && drawn(0) != cut.starts);
        // No room: they stay.
        assert_eq!(windows.cut(16).unwrap().drawn(16, 3).starts, [0]);
    }

    #[test]
    fn a_count_is_a_number_or_all() {
        for (text, count) in [("3", WindowCount::UpTo(3)), (r#""all""#, WindowCount::All)] {
            let read: WindowCount = serde_json::from_str(text).unwrap();
            assert_eq!(
                (read, serde_json::to_string(&count).unwrap()),
                (count, text.to_owned())
            );
            assert_eq!(count.to_string().parse::<WindowCount>().unwrap(), count);
        }
        assert!(serde_json::from_str::<WindowCount>("-1").is_err());
        let error = "most".parse::<WindowCount>().unwrap_err().to_string();
        assert_eq!(
            error,
            "windows.count = most: expected a whole number, or all"
        );
    }

    proptest! {
        #[test]
        fn windows_never_overlap_and_stay_inside(
            prefill in 0_usize..50, score in 1_usize..50, count in 1_usize..20, tokens in 0_usize..3000,
            seed in 0_u64..9,
        ) {
            let windows = Windows { prefill, score, count: count.into() };
            let Ok(cut) = windows.cut(tokens) else {
                prop_assert!(tokens < windows.tokens_per_window());
                return Ok(());
            };
            prop_assert_eq!(cut.starts.len(), count.min(tokens / windows.tokens_per_window()));
            for cut in [cut.clone(), cut.drawn(tokens, seed)] {
                let ends = cut.starts.iter().map(|start| start + cut.tokens_per_window);
                let next = cut.starts[1..].iter().copied().chain([tokens]);
                for (end, next) in ends.zip(next) {
                    prop_assert!(end <= next);
                }
            }
        }
    }
}
