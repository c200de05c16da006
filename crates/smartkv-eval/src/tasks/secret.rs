//! Keys and values that a model can know from its context alone.

use super::lexicon::{ADJECTIVES, NOUNS};
use crate::error::{EvalError, Result};
use crate::random::Draws;
use std::collections::BTreeSet;

/// What a key or a value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    /// An adjective and a noun, joined by a hyphen.
    Words,
    /// A number of seven digits.
    Numbers,
    /// A random UUID, version 4.
    Uuids,
}

impl Secret {
    /// What a prompt calls several of them.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Numbers => "numbers",
            Self::Uuids => "uuids",
        }
    }

    fn draw(self, draws: &mut Draws) -> String {
        match self {
            Self::Words => {
                let adjective = ADJECTIVES[draws.below(ADJECTIVES.len())];
                format!("{adjective}-{}", NOUNS[draws.below(NOUNS.len())])
            }
            Self::Numbers => (1_000_000 + draws.below(9_000_000)).to_string(),
            Self::Uuids => uuid(draws),
        }
    }

    /// How many different ones there are, or more than anyone asks for.
    pub(super) fn different(self) -> usize {
        match self {
            Self::Words => ADJECTIVES.len() * NOUNS.len(),
            Self::Numbers => 9_000_000,
            Self::Uuids => usize::MAX,
        }
    }
}

fn uuid(draws: &mut Draws) -> String {
    let digits = (0..32).map(|place| match place {
        12 => 4,
        16 => 8 + draws.below(4),
        _ => draws.below(16),
    });
    let mut text = String::new();
    for (place, digit) in digits.enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(char::from(b"0123456789abcdef"[digit]));
    }
    text
}

/// Draws that never give the same twice.
pub(super) struct Distinct {
    kind: Secret,
    taken: BTreeSet<String>,
}

impl Distinct {
    pub(super) fn new(kind: Secret) -> Self {
        Self {
            kind,
            taken: BTreeSet::new(),
        }
    }

    /// One that was not drawn before and that `known` does not hold.
    pub(super) fn next(
        &mut self,
        draws: &mut Draws,
        known: impl Fn(&str) -> bool,
    ) -> Result<String> {
        // Half of a finite stock is left for luck.
        while self.taken.len() <= self.kind.different() / 2 {
            let drawn = self.kind.draw(draws);
            if self.taken.insert(drawn.clone()) && !known(&drawn) {
                return Ok(drawn);
            }
        }
        Err(EvalError::Task(format!(
            "more than {} different {} are not to be had",
            self.kind.different() / 2,
            self.kind.plural()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_form() {
        let mut draws = Draws::keyed([1, 2, 3, 4]);
        for _ in 0..200 {
            let number = Secret::Numbers.draw(&mut draws);
            assert!(number.len() == 7 && number.bytes().all(|b| b.is_ascii_digit()));
            let words = Secret::Words.draw(&mut draws);
            let (adjective, noun) = words.split_once('-').unwrap();
            assert!(ADJECTIVES.contains(&adjective) && NOUNS.contains(&noun));
            let uuid = Secret::Uuids.draw(&mut draws);
            let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
    }

    #[test]
    fn nothing_is_drawn_twice_and_a_stock_ends_with_an_error() {
        let mut draws = Draws::keyed([1, 2, 3, 5]);
        let mut words = Distinct::new(Secret::Words);
        let mut seen = BTreeSet::new();
        let ended = loop {
            match words.next(&mut draws, |word| word.starts_with("amber")) {
                Ok(word) => assert!(!word.starts_with("amber") && seen.insert(word)),
                Err(error) => break error,
            }
        };
        assert!(seen.len() > 10_000, "{}", seen.len());
        assert!(ended.to_string().contains("different words"), "{ended}");
    }
}
