//! The text a needle is hidden in.

use crate::error::{EvalError, Result};
use crate::random::Draws;
use serde::{Deserialize, Serialize};

/// The sentences that noise repeats, a line each time.
const NOISE: [&str; 5] = [
    "The grass is green.",
    "The sky is blue.",
    "The sun is yellow.",
    "Here we go.",
    "There and back again.",
];

/// Words whose full stop does not end a sentence.
const ABBREVIATIONS: [&str; 16] = [
    "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Gen", "Col", "Capt", "Lt", "Rev", "vs", "etc", "No",
    "e.g", "i.e",
];

/// What a needle is hidden in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Haystack {
    /// One line of five short sentences, repeated.
    Noise,
    /// Prose: white space collapsed, cut into sentences, repeated when too short.
    Text {
        /// What records call it.
        name: String,
        /// The prose itself.
        #[serde(skip)]
        text: String,
    },
}

impl Haystack {
    /// What records call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Noise => "noise",
            Self::Text { name, .. } => name,
        }
    }

    /// The haystack as sentences.
    ///
    /// # Errors
    /// A text without a sentence.
    pub(super) fn stack(&self) -> Result<Stack> {
        let sentences = match self {
            Self::Noise => {
                let last = NOISE.len() - 1;
                let end = |index| if index == last { '\n' } else { ' ' };
                NOISE
                    .iter()
                    .enumerate()
                    .map(|(i, s)| format!("{s}{}", end(i)))
                    .collect()
            }
            Self::Text { text, .. } => sentences(text),
        };
        if sentences.is_empty() {
            return Err(EvalError::parameter(
                "haystack",
                self.name(),
                "a text that has a sentence",
            ));
        }
        Ok(Stack {
            sentences,
            separator: if *self == Self::Noise { '\n' } else { ' ' },
        })
    }
}

/// Cuts prose into sentences, each with one space at its end.
fn sentences(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut sentences = Vec::new();
    let mut sentence = String::new();
    for (index, word) in words.iter().enumerate() {
        sentence.push_str(word);
        sentence.push(' ');
        let next = words.get(index + 1);
        if ends_sentence(word) && next.is_none_or(|next| opens_sentence(next)) {
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    // A tail without a full stop is no sentence: a needle after it would not be snapped.
    if sentences.is_empty() && !sentence.is_empty() {
        sentences.push(sentence);
    }
    sentences
}

fn ends_sentence(word: &str) -> bool {
    let bare = word.trim_end_matches(['"', '\'', ')', ']', '”', '’']);
    let Some(stem) = bare.strip_suffix(['.', '!', '?']) else {
        return false;
    };
    let initial = stem.chars().count() == 1 && stem.chars().all(char::is_uppercase);
    !(bare.ends_with('.') && (initial || ABBREVIATIONS.contains(&stem)))
}

fn opens_sentence(word: &str) -> bool {
    let first = word
        .trim_start_matches(['"', '\'', '(', '[', '“', '‘'])
        .chars()
        .next();
    first.is_some_and(|c| c.is_uppercase() || c.is_numeric())
}

/// Sentences that can be stacked to any length.
pub(super) struct Stack {
    /// Each with the white space that follows it.
    sentences: Vec<String>,
    /// A needle is put only where this precedes: lines of noise, sentences of prose.
    separator: char,
}

/// Where to cut the haystack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Whole sentences.
    pub(super) sentences: usize,
    /// Bytes of the sentence after them.
    pub(super) extra: usize,
    /// White space at the very end.
    pub(super) pad: &'static str,
}

impl Size {
    /// So many whole sentences and nothing else.
    pub(super) fn whole(sentences: usize) -> Self {
        Self {
            sentences,
            extra: 0,
            pad: "",
        }
    }
}

/// A haystack with its needle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hidden {
    /// The whole text.
    pub(super) text: String,
    /// Byte where the needle starts.
    pub(super) at: usize,
}

impl Stack {
    /// A sentence to start from: prose anywhere, noise at the beginning of a line.
    pub(super) fn start(&self, draws: &mut Draws) -> usize {
        if self.separator == '\n' {
            0
        } else {
            draws.below(self.sentences.len())
        }
    }

    /// Sentence `index`, counted from `start`, around the end of the source.
    pub(super) fn sentence(&self, start: usize, index: usize) -> &str {
        &self.sentences[(start + index) % self.sentences.len()]
    }

    /// Whether the source has `words` anywhere.
    pub(super) fn contains(&self, words: &str) -> bool {
        self.sentences
            .iter()
            .any(|sentence| sentence.contains(words))
    }

    /// A haystack of `size` from sentence `start` on, with `needle` at the last boundary that is
    /// not beyond `depth_percent` of it.
    pub(super) fn hide(
        &self,
        needle: &str,
        start: usize,
        size: Size,
        depth_percent: u32,
    ) -> Hidden {
        let mut text = String::new();
        let mut boundaries = vec![0];
        for index in 0..size.sentences {
            text.push_str(self.sentence(start, index));
            if text.ends_with(self.separator) {
                boundaries.push(text.len());
            }
        }
        text.push_str(&self.sentence(start, size.sentences)[..size.extra]);
        let share = u64::from(depth_percent.min(100)) * text.trim_end().len() as u64;
        // A boundary includes the white space before it, which the end of the text does not.
        let reached = |boundary: usize| (boundary.saturating_sub(1) as u64) * 100 <= share;
        let at = boundaries
            .into_iter()
            .rev()
            .find(|&b| reached(b))
            .unwrap_or(0);
        text.insert(at, self.separator);
        text.insert_str(at, needle);
        text.truncate(text.trim_end().len());
        text.push_str(size.pad);
        Hidden { text, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROSE: &str = "Mr. Smith went home at 5 p.m. on Monday. \"Why?\" she asked.\n\n It  \
        was late! J. R. Jones (a friend) said so. The tail has no stop";

    fn prose() -> Stack {
        Haystack::Text {
            name: "prose".into(),
            text: PROSE.into(),
        }
        .stack()
        .unwrap()
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(
            sentences(PROSE),
            [
                "Mr. Smith went home at 5 p.m. on Monday. ",
                "\"Why?\" she asked. ",
                "It was late! ",
                "J. R. Jones (a friend) said so. ",
            ]
        );
        assert_eq!(sentences("no stop at all"), ["no stop at all "]);
        let empty = Haystack::Text {
            name: "empty".into(),
            text: " \n".into(),
        };
        assert!(empty.stack().is_err());
    }

    #[test]
    fn needles_stand_between_sentences_in_the_order_of_depth() {
        let stack = prose();
        let size = Size {
            extra: 3,
            ..Size::whole(6)
        };
        let mut last = 0;
        for depth in 0..=100 {
            let hidden = stack.hide("NEEDLE.", 1, size, depth);
            let (before, after) = hidden.text.split_at(hidden.at);
            assert!(before.is_empty() || before.ends_with(". ") || before.ends_with("! "));
            assert!(after.starts_with("NEEDLE."), "{after}");
            assert!(hidden.at >= last);
            last = hidden.at;
        }
        assert_eq!(stack.hide("NEEDLE.", 1, size, 0).at, 0);
        let whole = stack.hide("NEEDLE.", 0, Size::whole(4), 100);
        assert!(whole.text.ends_with("said so. NEEDLE."), "{}", whole.text);
    }

    #[test]
    fn noise_keeps_its_lines_whole() {
        let stack = Haystack::Noise.stack().unwrap();
        let size = Size::whole(17);
        let line = NOISE.join(" ");
        let hidden = stack.hide("NEEDLE.", 0, size, 50);
        assert_eq!(
            hidden.text,
            format!("{line}\nNEEDLE.\n{line}\n{line}\nThe grass is green. The sky is blue.")
        );
        assert!(stack.contains("grass is") && !stack.contains("NEEDLE"));
    }
}
