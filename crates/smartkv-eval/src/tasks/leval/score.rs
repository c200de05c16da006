//! How L-Eval reads answers: `Evaluation/auto_eval.py` and `em.py`.

use crate::metrics::{rouge, squad};
use crate::task::Score;

/// How the answers of a data set are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    /// The first letter from A to D.
    Choice,
    /// All letters from A to D. A share of the right ones has a quarter.
    Choices,
    /// The digits of the number after `The answer is`, else of the last word with a digit in the
    /// first paragraph.
    Number,
    /// The answer is contained, without case and spaces, in the first line longer than a letter.
    Contained,
    /// As [`Contained`](Self::Contained), of what is left without the words around a value.
    Code,
    /// True or false by the document: what the answer says first. The official score also asks
    /// for what is true outside of it.
    Loyalty,
    F1,
    Rouge,
}

impl Metric {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Choice | Self::Choices => "exact match of choices",
            Self::Number => "exact match of numbers",
            Self::Contained | Self::Code => "answer contained",
            Self::Loyalty => "exact match (by the document)",
            Self::F1 => "F1",
            Self::Rouge => "ROUGE-1/2/L (geometric mean)",
        }
    }

    /// Whether `answer` is one that a prediction can meet.
    pub(super) fn accepts(self, answer: &str) -> bool {
        match self {
            Self::Choice | Self::Choices => !right_letters(answer).is_empty(),
            Self::Number => !number(answer).is_empty(),
            Self::Loyalty => truth(answer).is_some(),
            Self::Contained => !answer.trim().is_empty(),
            Self::Code => !code(answer).trim().is_empty(),
            Self::F1 | Self::Rouge => true,
        }
    }

    /// The score of `text` against the one answer.
    pub(super) fn score(self, text: &str, answers: &[String]) -> Score {
        let Some(answer) = answers.first() else {
            return 0.0.into();
        };
        match self {
            Self::Choice | Self::Choices => {
                let (letters, right) = (self.letters(text), right_letters(answer));
                if letters == right {
                    1.0.into()
                } else if !letters.is_empty() && letters.chars().all(|c| right.contains(c)) {
                    0.25.into()
                } else {
                    0.0.into()
                }
            }
            Self::Number => {
                let (stated, right) = (number(text), number(answer));
                let value = |digits: &str| digits.parse::<f64>().ok();
                (value(&stated).is_some() && value(&stated) == value(&right)).into()
            }
            Self::Contained => contained(text, answer).into(),
            Self::Code => contained(&stated_value(text, answer), &code(answer)).into(),
            Self::Loyalty => (truth(text).is_some() && truth(text) == truth(answer)).into(),
            Self::F1 => squad::qa_f1(text, answer).into(),
            Self::Rouge => {
                let [one, two, l] = rouge::scrolls(text, answers);
                Score::from(rouge::geometric_mean(one, two, l))
                    .with("rouge_1", one)
                    .with("rouge_2", two)
                    .with("rouge_l", l)
            }
        }
    }
}

impl Metric {
    /// The letters that an answer settles on.
    fn letters(self, text: &str) -> String {
        if "ABCD".contains(text) {
            text.to_owned()
        } else if self == Self::Choice {
            text.chars().find(|c| is_letter(*c)).into_iter().collect()
        } else {
            several_letters(text)
        }
    }
}

fn is_letter(c: char) -> bool {
    ('A'..='D').contains(&c)
}

/// The letters of the first word of a right answer.
fn right_letters(answer: &str) -> String {
    let word = answer.split_whitespace().next().unwrap_or_default();
    word.chars().filter(|c| is_letter(*c)).collect()
}

/// The letters that an answer begins with if there are several, else those that stand before white
/// space, a full stop or a parenthesis, up to a further question.
fn several_letters(text: &str) -> String {
    let end = text.find(|c| !is_letter(c)).unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    let mut letters: Vec<char> = first.chars().collect();
    if letters.len() < 2 {
        let rest = rest.split("Question").next().unwrap_or_default();
        let pairs = rest.chars().zip(rest.chars().skip(1));
        let before_space = pairs.filter(|(_, next)| next.is_whitespace() || ".)".contains(*next));
        letters.extend(before_space.map(|(c, _)| c).filter(|c| is_letter(*c)));
    }
    letters.sort_unstable();
    letters.dedup();
    letters.into_iter().collect()
}

/// The digits, up to a full stop, of the word that holds the number.
fn number(text: &str) -> String {
    let word = match text.split_once("The answer is ") {
        Some((_, after)) if after.starts_with(|c: char| !c.is_whitespace()) => {
            after.split_whitespace().next()
        }
        _ => {
            let paragraph = text.split("\n\n").next().unwrap_or_default();
            let mut words = paragraph.split(' ').rev();
            words.find(|word| word.contains(|c: char| c.is_ascii_digit()))
        }
    };
    let word = word
        .unwrap_or_default()
        .split('.')
        .next()
        .unwrap_or_default();
    word.chars().filter(char::is_ascii_digit).collect()
}

fn contained(text: &str, answer: &str) -> bool {
    let value = |text: &str| text.trim().parse::<f64>().ok();
    if let (Some(stated), Some(right)) = (value(text), value(answer)) {
        return stated.total_cmp(&right).is_eq();
    }
    let bare = |text: &str| text.to_lowercase().replace(' ', "");
    let line = text.split('\n').find(|line| line.chars().count() > 1);
    bare(line.unwrap_or(text)).contains(&bare(answer))
}

/// A value as it is compared: without quotes, commas and `.0`.
fn code(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in [
        (",", ""),
        ("'", ""),
        ("\\", ""),
        (".0", ""),
        ("] [", "]["),
        ("[ [", "[["),
        ("] ]", "]]"),
    ] {
        text = text.replace(from, to);
    }
    text
}

/// The words of an answer where a value of as many words as the right one may be.
fn stated_value(text: &str, answer: &str) -> String {
    let words = answer.split_whitespace().count() + 3;
    let mut text = code(text);
    for filler in [
        "will be",
        "of the code",
        "is",
        "would be",
        "the value of",
        "the result of",
        "printed",
    ] {
        text = text.replace(filler, "");
    }
    let output = text.rsplit_once("the final output").map(|(_, after)| after);
    let all: Vec<&str> = output.unwrap_or(&text).split_whitespace().collect();
    let kept = match output {
        // The program cuts at white space, so that the space before a word counts as one.
        Some(after) => {
            let words = words - usize::from(after.starts_with(char::is_whitespace));
            &all[..words.min(all.len())]
        }
        None => &all[all.len().saturating_sub(words)..],
    };
    kept.join(" ")
}

/// The first word of what is said of the document that holds `true` or `false`.
fn truth(text: &str) -> Option<bool> {
    let text = text.to_lowercase();
    let said = text.split("[fact:").next().unwrap_or_default();
    said.split_whitespace().find_map(|word| match word {
        word if word.contains("true") => Some(true),
        word if word.contains("false") => Some(false),
        _ => None,
    })
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_the_program_reads_them() {
        for (metric, text, answer, score) in [
            (Metric::Choice, "The answer is (B).", "B", 1.0),
            (Metric::Choice, "Because of C", "B. second", 1.0),
            (Metric::Choice, "C", "B", 0.0),
            (Metric::Choice, "", "B", 0.0),
            (Metric::Choice, "AB", "A", 0.0),
            (Metric::Choice, "A.", "AB", 0.25),
            (Metric::Choices, "AB", "AB", 1.0),
            (Metric::Choices, "A. and B. are right", "AB", 1.0),
            (Metric::Choices, "A", "AB", 0.25),
            (Metric::Choices, "ABC", "AB", 0.0),
            (Metric::Choices, "", "AB", 0.0),
            (
                Metric::Number,
                "So 3+4. The answer is 7.",
                "The answer is 7.",
                1.0,
            ),
            (
                Metric::Number,
                "it is 1,200 in all\n\nThen 5",
                "The answer is 1200",
                1.0,
            ),
            (Metric::Number, "none", "The answer is 7", 0.0),
            (
                Metric::Contained,
                "\nThe first topic is The Rain .",
                "the rain",
                1.0,
            ),
            (Metric::Contained, "sun\nthe rain", "the rain", 0.0),
            (Metric::Contained, "", "the rain", 0.0),
            (
                Metric::Code,
                "the final output will be [1, 2] of it",
                "[1, 2]",
                1.0,
            ),
            (Metric::Code, "I think the value of x is 3.0", "3", 1.0),
            (Metric::Code, "no idea", "3", 0.0),
            (Metric::Code, "13", "3", 0.0),
            (Metric::Loyalty, "False, I think", "False [fact: True]", 1.0),
            (Metric::Loyalty, "", "True [fact: True]", 0.0),
            (Metric::F1, "the cat", "a cat sat", 2.0 / 3.0),
            (Metric::F1, "", "cat", 0.0),
            (Metric::Rouge, "", "cat", 0.0),
        ] {
            let scored = metric.score(text, &[answer.to_owned()]).value;
            assert_eq!(scored, score, "{metric:?}: {text} / {answer}");
        }
        let same = Metric::Rouge.score("the cat sat", &["the cat sat".to_owned()]);
        assert!((same.value - 1.0).abs() < 1e-12);
        assert_eq!(same.details["rouge_2"], 1.0);
    }

    #[test]
    fn answers_that_cannot_be_met_are_no_answers() {
        assert!(!Metric::Choice.accepts("none of these"));
        assert!(!Metric::Number.accepts("many"));
        assert!(!Metric::Loyalty.accepts("perhaps"));
        assert!(Metric::Loyalty.accepts("True [fact: False]"));
    }
}
