//! A user's own questions, out of a file.

use super::columns::{Row, rows};
use super::truncate;
use crate::error::{EvalError, Result};
use crate::metrics::choice::choice_letter;
use crate::metrics::rouge::{Stemmer, rouge_l};
use crate::metrics::{best_of, edit, ruler, squad};
use crate::task::{Answer, Ask, Part, Sample, Samples, Score, Task, TaskCx};
use serde_json::{Value, json};
use smartkv_core::{config, task};

/// Asks the questions of a file: a benchmark of one's own without any code.
///
/// A row of the file (`.jsonl`, `.json` or `.parquet`) is a question with its context and answers,
/// in the columns that kvpress uses, or others that are named here. Rows that follow each other
/// with the same context share its prefill.
#[config]
pub struct File {
    /// The file, a folder that has it, or a data set of the hub.
    pub data: String,
    /// What the file is called in a folder or data set: `*` stands for anything but `/`; the first
    /// that any file matches is taken, with all files that match it.
    #[default(["*test*.jsonl", "*test*.parquet", "data/test*.parquet", "*.jsonl", "*.parquet",
        "*.json"].map(str::to_owned).to_vec())]
    pub files: Vec<String>,
    /// Column of the text that is compressed.
    #[default("context".to_owned())]
    pub context: String,
    /// Column of the question.
    #[default("question".to_owned())]
    pub question: String,
    /// Column of how the answer begins; may be absent from the file.
    #[default(ANSWER_PREFIX.to_owned())]
    pub answer_prefix: String,
    /// Column of the right answers, a text or a list of texts.
    #[default("answer".to_owned())]
    pub answer: String,
    /// Column of the most tokens of an answer; may be absent from the file.
    #[default(MAX_NEW_TOKENS.to_owned())]
    pub max_new_tokens: String,
    /// Most tokens of an answer where the file does not say.
    #[default(64)]
    #[range(1..)]
    pub new_tokens: usize,
    /// Column that divides the rows into parts with a score of their own, such as `task`.
    pub part: Option<String>,
    /// How an answer is scored.
    pub metric: FileMetric,
    /// What becomes of contexts that are too long.
    pub too_long: TooLong,
    /// Whether a chat template may be used.
    #[default(true)]
    pub chat: bool,
    /// Whether a line break ends an answer.
    pub stop_at_newline: bool,
}

const ANSWER_PREFIX: &str = "answer_prefix";
const MAX_NEW_TOKENS: &str = "max_new_tokens";

/// How an answer is scored; of several right answers the best counts, unless all are wanted.
#[config]
pub enum FileMetric {
    /// Token F1 of `SQuAD`: without case, punctuation and articles.
    #[default]
    F1,
    /// Equality, without case, punctuation and articles.
    ExactMatch,
    /// ROUGE-L F1 of words, without a stemmer.
    RougeL,
    /// Share of the right answers that the answer contains, without case.
    ContainsAll,
    /// Whether the answer contains a right answer, without case.
    ContainsAny,
    /// The letter of a choice, as in `B` or `(B)`.
    Choice,
    /// Indel similarity of the characters.
    EditSimilarity,
}

/// What becomes of a context that does not fit.
#[config]
pub enum TooLong {
    /// Its end is left out, as kvpress does.
    #[default]
    CutEnd,
    /// Its middle is left out.
    CutMiddle,
    /// An error.
    Refuse,
}

impl FileMetric {
    fn name(self) -> &'static str {
        match self {
            Self::F1 => "F1",
            Self::ExactMatch => "exact match",
            Self::RougeL => "ROUGE-L F1",
            Self::ContainsAll => "share of answers contained",
            Self::ContainsAny => "an answer contained",
            Self::Choice => "accuracy",
            Self::EditSimilarity => "edit similarity",
        }
    }

    fn score(self, text: &str, answers: &[String]) -> f64 {
        let right = |right: bool| f64::from(u8::from(right));
        let score = |answer: &String| match self {
            Self::F1 => squad::squad_f1(text, answer),
            Self::ExactMatch => right(squad::exact_match(text, answer)),
            Self::RougeL => rouge_l(text, answer, Stemmer::None).f1,
            Self::Choice => {
                let letter = choice_letter(answer, 26);
                right(letter.is_some() && choice_letter(text, 26) == letter)
            }
            Self::EditSimilarity => edit::indel_ratio(text.trim(), answer.trim()),
            Self::ContainsAll | Self::ContainsAny => 0.0,
        };
        match self {
            Self::ContainsAll => ruler::match_all(text, answers),
            Self::ContainsAny => ruler::match_part(text, answers),
            _ => best_of(answers, score),
        }
    }
}

impl File {
    fn rows(&self, cx: &TaskCx<'_>) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
        if self.data.is_empty() {
            let expected = "the file with the questions";
            return Err(EvalError::parameter("data", "(empty)", expected));
        }
        let names: Vec<&str> = self.files.iter().map(String::as_str).collect();
        Ok(rows(cx.data.files(&self.data, &names)?))
    }

    /// The part that `row` belongs to.
    fn part_of(&self, row: &Row) -> Result<String> {
        match &self.part {
            None => Ok(String::new()),
            Some(column) => Ok(match row.get(column) {
                Some(Value::Number(number)) => number.to_string(),
                _ => row.text(column)?.to_owned(),
            }),
        }
    }
}

#[task("file", family = "own data")]
impl Task for File {
    fn parts(&self, cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        if self.part.is_none() {
            return Ok(vec![Part::new("", self.metric.name())]);
        }
        let mut parts: Vec<Part> = Vec::new();
        for row in self.rows(cx)? {
            let name = self.part_of(&row?)?;
            if let Some(part) = parts.iter_mut().find(|part| part.name == name) {
                part.samples = part.samples.map(|samples| samples + 1);
            } else {
                parts.push(Part {
                    samples: Some(1),
                    ..Part::new(name, self.metric.name())
                });
            }
        }
        Ok(parts)
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        Ok(Box::new(self.rows(cx)?.filter_map(move |row| {
            let sample = row.and_then(|row| {
                let own = self.part_of(&row)? == part.name;
                own.then(|| self.sample(&row, cx)).transpose()
            });
            sample.transpose()
        })))
    }

    fn score(&self, _part: &Part, sample: &Sample, answer: &Answer) -> Result<Score> {
        Ok(self.metric.score(&answer.text, &sample.answers).into())
    }
}

impl File {
    fn sample(&self, row: &Row, cx: &TaskCx<'_>) -> Result<Sample> {
        // A column that the user renamed has to be there.
        let prefix = match self.answer_prefix.as_str() {
            ANSWER_PREFIX => row.optional_text(ANSWER_PREFIX)?.unwrap_or_default(),
            renamed => row.text(renamed)?,
        };
        let most_new = match self.max_new_tokens.as_str() {
            MAX_NEW_TOKENS => row.optional_number(MAX_NEW_TOKENS)?,
            renamed => Some(row.number(renamed)?),
        };
        let max_new_tokens = most_new.unwrap_or(self.new_tokens);
        let answers = row.texts(&self.answer)?;
        if self.metric == FileMetric::Choice
            && let Some(answer) = answers.iter().find(|a| choice_letter(a, 26).is_none())
        {
            let reason = format!("column `{}`: no letter in `{answer}`", self.answer);
            return Err(row.bad(reason));
        }
        let whole = Sample {
            id: row.id("id"),
            context: row.text(&self.context)?.to_owned(),
            question: row.text(&self.question)?.to_owned(),
            answer_prefix: prefix.to_owned(),
            answers,
            ask: Ask::Generate {
                max_new_tokens,
                stop_at_newline: self.stop_at_newline,
            },
            chat: self.chat,
            ..Sample::generate(max_new_tokens)
        };
        let build = |most| {
            let cut = match self.too_long {
                TooLong::CutEnd => truncate::start(cx.tokenizer, &whole.context, most)?,
                TooLong::CutMiddle => truncate::middle(cx.tokenizer, &whole.context, most)?
                    .map(|(start, end)| start + &end),
                TooLong::Refuse => None,
            };
            let mut sample = whole.clone();
            if let Some(cut) = cut {
                sample.context = cut;
                sample.meta.insert("truncated".to_owned(), json!(true));
            }
            Ok(vec![sample])
        };
        let fitted = truncate::fit(cx, max_new_tokens, build);
        let mut samples = fitted.map_err(|error| row.bad(error.to_string()))?;
        samples.pop().ok_or_else(|| row.bad("no prompt"))
    }
}
