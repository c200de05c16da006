//! The thirteen tasks as data.

use super::documents::Documents;
use super::niah::{NeedleHay, Niah};
use crate::error::{EvalError, Result};
use crate::task::{Ask, Sample};
use crate::tasks::magic::list;
use crate::tasks::secret::Secret::{self, Numbers, Uuids, Words};

/// One task.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// Most tokens of an answer.
    new_tokens: usize,
    pub(super) family: Family,
}

/// What a task asks for.
#[derive(Debug)]
pub(super) enum Family {
    /// Needles in a haystack.
    Niah(Niah),
    /// Variable tracking.
    Vt,
    /// Common words extraction.
    Cwe,
    /// Frequent words extraction.
    Fwe,
    /// Question answering among distracting documents.
    Qa(Documents),
}

const fn niah(
    name: &'static str,
    haystack: NeedleHay,
    keys: Secret,
    values: Secret,
    [keys_count, values_count, queries]: [usize; 3],
) -> Spec {
    Spec {
        name,
        new_tokens: 128,
        family: Family::Niah(Niah {
            haystack,
            keys,
            values,
            keys_count,
            values_count,
            queries,
        }),
    }
}

const fn spec(name: &'static str, new_tokens: usize, family: Family) -> Spec {
    Spec {
        name,
        new_tokens,
        family,
    }
}

/// All of them, in RULER's order.
static TASKS: [Spec; 13] = [
    niah("niah_single_1", NeedleHay::Noise, Words, Numbers, [1, 1, 1]),
    niah("niah_single_2", NeedleHay::Prose, Words, Numbers, [1, 1, 1]),
    niah("niah_single_3", NeedleHay::Prose, Words, Uuids, [1, 1, 1]),
    niah(
        "niah_multikey_1",
        NeedleHay::Prose,
        Words,
        Numbers,
        [4, 1, 1],
    ),
    niah(
        "niah_multikey_2",
        NeedleHay::Needles,
        Words,
        Numbers,
        [1, 1, 1],
    ),
    niah(
        "niah_multikey_3",
        NeedleHay::Needles,
        Uuids,
        Uuids,
        [1, 1, 1],
    ),
    niah(
        "niah_multivalue",
        NeedleHay::Prose,
        Words,
        Numbers,
        [1, 4, 1],
    ),
    niah(
        "niah_multiquery",
        NeedleHay::Prose,
        Words,
        Numbers,
        [4, 1, 4],
    ),
    spec("vt", 30, Family::Vt),
    spec("cwe", 120, Family::Cwe),
    spec("fwe", 50, Family::Fwe),
    spec("qa_1", 32, Family::Qa(Documents::Squad)),
    spec("qa_2", 32, Family::Qa(Documents::Hotpot)),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TASKS.iter().map(|spec| spec.name)
}

pub(super) fn find(name: &str) -> Result<&'static Spec> {
    TASKS.iter().find(|spec| spec.name == name).ok_or_else(|| {
        let known = names().collect::<Vec<_>>().join(", ");
        EvalError::parameter("tasks", format!("`{name}`"), format!("one of {known}"))
    })
}

impl Spec {
    /// Its place among the tasks.
    pub(super) fn number(&self) -> u64 {
        let place = TASKS.iter().position(|spec| spec.name == self.name);
        place.unwrap_or(TASKS.len()) as u64
    }

    /// Most tokens of an answer.
    pub(super) fn new_tokens(&self) -> usize {
        self.new_tokens
    }

    /// A sample of this task from its texts. `gold` writes the right answers as the task's
    /// example does, or as the question does where there is none.
    pub(super) fn sample(
        &self,
        context: String,
        question: String,
        answer_prefix: String,
        answers: Vec<String>,
    ) -> Sample {
        let text = self.family.answer(&answers);
        let space = if answer_prefix.ends_with(' ') {
            ""
        } else {
            " "
        };
        Sample {
            context,
            question,
            gold: (!text.is_empty()).then(|| format!("{space}{text}")).into(),
            answer_prefix,
            answers,
            ask: Ask::Generate {
                max_new_tokens: self.new_tokens,
                stop_at_newline: false,
            },
            ..Sample::generate(self.new_tokens)
        }
    }
}

impl Family {
    pub(super) fn metric(&self) -> &'static str {
        match self {
            Self::Qa(_) => "string_match_part",
            _ => "string_match_all",
        }
    }

    /// The right answers as one text.
    fn answer(&self, answers: &[String]) -> String {
        match self {
            Self::Niah(_) => list(answers),
            Self::Vt => answers.join(" "),
            Self::Cwe => numbered(answers),
            Self::Fwe => answers.join(", "),
            Self::Qa(_) => answers.first().cloned().unwrap_or_default(),
        }
    }
}

/// `1. one 2. two`.
pub(super) fn numbered(words: &[impl AsRef<str>]) -> String {
    let number = |(index, word): (usize, &_)| format!("{}. {}", index + 1, AsRef::as_ref(word));
    words
        .iter()
        .enumerate()
        .map(number)
        .collect::<Vec<_>>()
        .join(" ")
}
