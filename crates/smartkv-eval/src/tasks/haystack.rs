//! The text a needle is hidden in.

use crate::error::{EvalError, Result};
use crate::random::Draws;
use crate::task::Haystack;
use smartkv_core::config;

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
#[config]
pub enum Hay {
    /// The prose the run is given, cut into sentences, repeated when too short.
    #[default]
    Prose,
    /// One line of five short sentences, repeated.
    Noise,
}

/// A line of noise.
pub(super) fn noise() -> String {
    NOISE.join(" ")
}

/// Where the sentences of prose end: the word after each, the tail without a full stop left out.
pub(super) fn sentence_ends<'a>(words: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
    let ends = |&index: &usize| {
        let next = words.get(index + 1);
        ends_sentence(words[index]) && next.is_none_or(|next| opens_sentence(next))
    };
    (0..words.len()).filter(ends).map(|index| index + 1)
}

/// Cuts prose into sentences, each with one space at its end.
fn sentences(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut sentences = Vec::new();
    let mut start = 0;
    for end in sentence_ends(&words) {
        sentences.push(words[start..end].join(" ") + " ");
        start = end;
    }
    // A tail without a full stop is no sentence: a needle after it would not be snapped.
    if sentences.is_empty() && !words.is_empty() {
        sentences.push(words.join(" ") + " ");
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

/// A place in a haystack: `part` of `of` equal parts before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) part: u64,
    pub(super) of: u64,
}

impl Depth {
    /// Depths of `count` needles: the first at `percent`, the others in even steps of what is
    /// left divided by `count`.
    pub(super) fn steps(percent: u32, count: usize) -> Vec<Self> {
        let (percent, count) = (u64::from(percent.min(100)), count.max(1) as u64);
        let depth = |index| Self {
            part: percent * count + index * (100 - percent),
            of: 100 * count,
        };
        (0..count).map(depth).collect()
    }
}

/// A haystack with its needles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hidden {
    /// The whole text.
    pub(super) text: String,
    /// Byte where each needle starts.
    pub(super) at: Vec<usize>,
}

impl Stack {
    /// The haystack that `hay` names.
    pub(super) fn new(hay: Hay, prose: &Haystack) -> Result<Self> {
        match hay {
            Hay::Prose => Self::prose(prose),
            Hay::Noise => Ok(Self::noise()),
        }
    }

    fn noise() -> Self {
        let last = NOISE.len() - 1;
        let end = |index| if index == last { '\n' } else { ' ' };
        let lines = NOISE.iter().enumerate();
        Self {
            sentences: lines.map(|(i, s)| format!("{s}{}", end(i))).collect(),
            separator: '\n',
        }
    }

    fn prose(haystack: &Haystack) -> Result<Self> {
        let sentences = sentences(&haystack.text);
        if sentences.is_empty() {
            let expected = "a text that has a sentence";
            return Err(EvalError::parameter("haystack", &haystack.name, expected));
        }
        Ok(Self {
            sentences,
            separator: ' ',
        })
    }

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

    /// A haystack of `size` from sentence `start` on, with each needle at the last boundary that
    /// is not beyond its depth; depths ascend.
    pub(super) fn hide(&self, needles: &[(Depth, String)], start: usize, size: Size) -> Hidden {
        let mut hay = String::new();
        let mut boundaries = vec![0];
        for index in 0..size.sentences {
            hay.push_str(self.sentence(start, index));
            if hay.ends_with(self.separator) {
                boundaries.push(hay.len());
            }
        }
        hay.push_str(&self.sentence(start, size.sentences)[..size.extra]);
        let length = hay.trim_end().len() as u64;
        let mut hidden = Hidden {
            text: String::new(),
            at: Vec::new(),
        };
        let mut copied = 0;
        for (depth, needle) in needles {
            // A boundary includes the white space before it, which the end of the text does not.
            let reached = |boundary: usize| {
                (boundary.saturating_sub(1) as u64) * depth.of <= depth.part * length
            };
            let boundary = boundaries.iter().rev().find(|&&b| reached(b));
            let boundary = boundary.copied().unwrap_or(0).max(copied);
            hidden.text.push_str(&hay[copied..boundary]);
            copied = boundary;
            hidden.at.push(hidden.text.len());
            hidden.text.push_str(needle);
            hidden.text.push(self.separator);
        }
        hidden.text.push_str(&hay[copied..]);
        hidden.text.truncate(hidden.text.trim_end().len());
        hidden.text.push_str(size.pad);
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROSE: &str = "Mr. Smith went home at 5 p.m. on Monday. \"Why?\" she asked.\n\n It  \
        was late! J. R. Jones (a friend) said so. The tail has no stop";

    fn prose() -> Stack {
        let haystack = Haystack {
            name: "prose".into(),
            text: PROSE.into(),
        };
        Stack::new(Hay::Prose, &haystack).unwrap()
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
        let empty = Haystack {
            name: "empty".into(),
            text: " \n".into(),
        };
        assert!(Stack::new(Hay::Prose, &empty).is_err());
    }

    fn needle(percent: u32) -> [(Depth, String); 1] {
        [(Depth::steps(percent, 1)[0], "NEEDLE.".into())]
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
            let hidden = stack.hide(&needle(depth), 1, size);
            let (before, after) = hidden.text.split_at(hidden.at[0]);
            assert!(before.is_empty() || before.ends_with(". ") || before.ends_with("! "));
            assert!(after.starts_with("NEEDLE."), "{after}");
            assert!(hidden.at[0] >= last);
            last = hidden.at[0];
        }
        assert_eq!(stack.hide(&needle(0), 1, size).at, [0]);
        let whole = stack.hide(&needle(100), 0, Size::whole(4));
        assert!(whole.text.ends_with("said so. NEEDLE."), "{}", whole.text);
    }

    #[test]
    fn several_needles_share_what_is_left_evenly() {
        let depths = Depth::steps(10, 3);
        let percent: Vec<u64> = depths.iter().map(|d| 100 * d.part / d.of).collect();
        assert_eq!(percent, [10, 40, 70]);
        let needles = depths
            .into_iter()
            .zip(["A.", "B.", "C."].map(str::to_owned));
        let needles: Vec<_> = needles.collect();
        let hidden = Stack::noise().hide(&needles, 0, Size::whole(50));
        let line = noise();
        assert_eq!(
            hidden.text,
            format!("{line}\nA.\n{line}\n{line}\n{line}\nB.\n{line}\n{line}\n{line}\nC.\n")
                + &[line.as_str(); 3].join("\n")
        );
        for (at, (_, needle)) in hidden.at.iter().zip(&needles) {
            assert!(hidden.text[*at..].starts_with(needle));
        }
    }

    #[test]
    fn noise_keeps_its_lines_whole() {
        let stack = Stack::noise();
        let size = Size::whole(17);
        let line = noise();
        let hidden = stack.hide(&needle(50), 0, size);
        assert_eq!(
            hidden.text,
            format!("{line}\nNEEDLE.\n{line}\n{line}\nThe grass is green. The sky is blue.")
        );
        assert!(stack.contains("grass is") && !stack.contains("NEEDLE"));
    }
}
