//! Documents and questions: SQuAD 2.0 and HotpotQA, as published and as the hub has them.

use crate::error::{EvalError, Result};
use crate::rows;
use crate::task::{DataFile, DataSource};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where documents and questions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Documents {
    /// Paragraphs of Wikipedia articles; the distractors are of the same article first.
    Squad,
    /// Introductions of Wikipedia articles, ten for each question, two of which answer it.
    Hotpot,
}

/// Data that was found.
pub(super) struct Files<'a> {
    source: Documents,
    root: &'a str,
    found: Vec<DataFile>,
}

/// A question and the documents that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) answers: Vec<String>,
    /// Documents that must be there, and those that come next.
    pub(super) needed: Vec<usize>,
    pub(super) first: Vec<usize>,
}

/// All documents, each once, and all questions that have an answer.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    pub(super) documents: Vec<String>,
    pub(super) questions: Vec<Question>,
    places: BTreeMap<String, usize>,
}

impl Corpus {
    /// The place of a document, which may be there already.
    fn place(&mut self, document: String) -> usize {
        let next = self.documents.len();
        let place = *self.places.entry(document.clone()).or_insert(next);
        if place == next {
            self.documents.push(document);
        }
        place
    }
}

impl Documents {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Squad => &[
                "squad_v2/validation-*.parquet",
                "validation-*.parquet",
                "dev-v2.0*.json",
            ],
            Self::Hotpot => &[
                "distractor/validation-*.parquet",
                "validation-*.parquet",
                "hotpot_dev_distractor*.json",
            ],
        }
    }

    pub(super) fn find<'a>(self, root: &'a str, data: &dyn DataSource) -> Result<Files<'a>> {
        let found = data.files(root, self.names()).map_err(optional)?;
        Ok(Files {
            source: self,
            root,
            found,
        })
    }
}

/// Says that the tasks can do without.
fn optional(error: EvalError) -> EvalError {
    let mut hints = error.hints();
    hints.push("or leave qa_1 and qa_2 out: `tasks` names those that are run".to_owned());
    let error = match error {
        EvalError::Outside { error, .. } => error,
        other => Box::new(other),
    };
    EvalError::Outside { error, hints }
}

impl Files<'_> {
    pub(super) fn read(&self) -> Result<Corpus> {
        let mut corpus = Corpus::default();
        for file in &self.found {
            for (index, row) in rows::read(file)?.enumerate() {
                let row = row?;
                let read = match self.source {
                    Documents::Squad => squad(&mut corpus, &row),
                    Documents::Hotpot => hotpot(&mut corpus, &row),
                };
                read.ok_or_else(|| {
                    let what = match self.source {
                        Documents::Squad => "no row of SQuAD 2.0",
                        Documents::Hotpot => "no row of HotpotQA",
                    };
                    rows::bad(file, Some(index + 1), what)
                })?;
            }
        }
        if corpus.questions.is_empty() {
            return Err(EvalError::Task(format!("`{}` has no questions", self.root)));
        }
        if self.source == Documents::Squad {
            share_articles(&mut corpus);
        }
        Ok(corpus)
    }
}

/// Reads a row of the hub, or an article of the official file; `None` if it is neither.
fn squad(corpus: &mut Corpus, row: &Value) -> Option<()> {
    let Some(paragraphs) = row.get("paragraphs") else {
        let answers = strings(row.get("answers")?.get("text")?)?;
        let (title, paragraph) = (text(row, "title")?, text(row, "context")?);
        squad_question(corpus, title, paragraph, text(row, "question")?, answers);
        return Some(());
    };
    for paragraph in paragraphs.as_array()? {
        for question in paragraph.get("qas")?.as_array()? {
            let answers = question.get("answers")?.as_array()?.iter();
            let answers = answers.map(|answer| Some(text(answer, "text")?.to_owned()));
            let answers = if question.get("is_impossible") == Some(&Value::Bool(true)) {
                Vec::new()
            } else {
                answers.collect::<Option<Vec<_>>>()?
            };
            squad_question(
                corpus,
                text(row, "title")?,
                text(paragraph, "context")?,
                text(question, "question")?,
                answers,
            );
        }
    }
    Some(())
}

/// Adds a paragraph, and the question if it has an answer. Its article stands in for the other
/// paragraphs until all of them are known.
fn squad_question(
    corpus: &mut Corpus,
    title: &str,
    paragraph: &str,
    question: &str,
    mut answers: Vec<String>,
) {
    let place = corpus.place(paragraph.to_owned());
    let article = *corpus
        .places
        .entry(format!("{ARTICLE}{title}"))
        .or_insert(place);
    answers.dedup();
    if !answers.is_empty() {
        corpus.questions.push(Question {
            text: question.to_owned(),
            answers,
            needed: vec![place],
            first: vec![article],
        });
    }
}

/// Marks the title of an article among the texts of documents.
const ARTICLE: &str = "\u{0}article ";

/// Every question gets the other paragraphs of its article. The paragraphs of an article follow
/// each other, and the first of them stands for it.
fn share_articles(corpus: &mut Corpus) {
    let articles = corpus
        .places
        .iter()
        .filter(|(text, _)| text.starts_with(ARTICLE));
    let mut starts: Vec<usize> = articles.map(|(_, &place)| place).collect();
    starts.sort_unstable();
    for question in &mut corpus.questions {
        let start = question.first[0];
        let after = starts.partition_point(|&other| other <= start);
        let end = starts.get(after).copied().unwrap_or(corpus.documents.len());
        question.first = (start..end)
            .filter(|place| !question.needed.contains(place))
            .collect();
    }
}

/// Reads one question of either layout; `None` if it is none.
fn hotpot(corpus: &mut Corpus, row: &Value) -> Option<()> {
    let context = row.get("context")?;
    let facts = row.get("supporting_facts")?;
    // The hub has columns where the official file has pairs.
    let (documents, supporting) = if let Some(titles) = context.get("title") {
        let sentences = context.get("sentences")?.as_array()?.iter();
        let documents = strings(titles)?.into_iter().zip(sentences);
        let documents = documents.map(|(title, sentences)| Some((title, strings(sentences)?)));
        let documents = documents.collect::<Option<Vec<_>>>()?;
        (documents, strings(facts.get("title")?)?)
    } else {
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), strings(pair.get(1)?)?));
        let documents = context
            .as_array()?
            .iter()
            .map(pair)
            .collect::<Option<Vec<_>>>()?;
        let titles = facts
            .as_array()?
            .iter()
            .map(|fact| Some(fact.get(0)?.as_str()?.to_owned()));
        (documents, titles.collect::<Option<Vec<_>>>()?)
    };
    let (mut needed, mut first) = (Vec::new(), Vec::new());
    for (title, sentences) in documents {
        let place = corpus.place(format!("{title}\n{}", sentences.concat()));
        if supporting.contains(&title) {
            needed.push(place);
        } else {
            first.push(place);
        }
    }
    corpus.questions.push(Question {
        text: text(row, "question")?.to_owned(),
        answers: vec![text(row, "answer")?.to_owned()],
        needed,
        first,
    });
    Some(())
}

fn text<'a>(row: &'a Value, field: &str) -> Option<&'a str> {
    row.get(field)?.as_str()
}

fn strings(list: &Value) -> Option<Vec<String>> {
    let items = list.as_array()?.iter();
    items.map(|item| Some(item.as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_layouts_of_squad_give_the_same_questions() {
        let official = [
            json!({"title": "A", "paragraphs": [
                {"context": "a one", "qas": [
                    {"question": "q1", "is_impossible": false,
                     "answers": [{"text": "one"}, {"text": "one"}, {"text": "a one"}]},
                    {"question": "q2", "is_impossible": true, "answers": []}]},
                {"context": "a two", "qas": [{"question": "q3", "answers": [{"text": "two"}]}]}]}),
            json!({"title": "B", "paragraphs": [
                {"context": "b one", "qas": [{"question": "q4", "answers": [{"text": "b"}]}]}]}),
        ];
        let row = |title: &str, context: &str, question: &str, answers: &[&str]| {
            json!({"title": title, "context": context, "question": question,
                   "answers": {"text": answers, "answer_start": []}})
        };
        let hub = [
            row("A", "a one", "q1", &["one", "one", "a one"]),
            row("A", "a one", "q2", &[]),
            row("A", "a two", "q3", &["two"]),
            row("B", "b one", "q4", &["b"]),
        ];
        let read = |rows: &[Value]| {
            let mut corpus = Corpus::default();
            assert!(rows.iter().all(|row| squad(&mut corpus, row).is_some()));
            share_articles(&mut corpus);
            corpus
        };
        let (one, other) = (read(&official), read(&hub));
        assert_eq!(one.documents, ["a one", "a two", "b one"]);
        assert_eq!(one.questions, other.questions);
        assert_eq!(one.documents, other.documents);
        let question = &one.questions[0];
        assert_eq!(question.answers, ["one", "a one"]);
        assert_eq!((&question.needed, &question.first), (&vec![0], &vec![1]));
        assert_eq!(one.questions[2].first, Vec::<usize>::new());
        assert!(squad(&mut Corpus::default(), &json!({"title": "A"})).is_none());
    }

    #[test]
    fn both_layouts_of_hotpot_give_the_same_question() {
        let official = json!({"question": "q", "answer": "yes",
            "supporting_facts": [["B", 0], ["C", 1]],
            "context": [["A", ["a.", " aa."]], ["B", ["b."]], ["C", ["c.", " cc."]]]});
        let hub = json!({"question": "q", "answer": "yes",
            "supporting_facts": {"title": ["B", "C"], "sent_id": [0, 1]},
            "context": {"title": ["A", "B", "C"],
                        "sentences": [["a.", " aa."], ["b."], ["c.", " cc."]]}});
        for row in [official, hub] {
            let mut corpus = Corpus::default();
            hotpot(&mut corpus, &row).unwrap();
            assert_eq!(corpus.documents, ["A\na. aa.", "B\nb.", "C\nc. cc."]);
            let question = &corpus.questions[0];
            assert_eq!((&question.needed, &question.first), (&vec![1, 2], &vec![0]));
            assert_eq!(
                (question.text.as_str(), &question.answers[0][..]),
                ("q", "yes")
            );
        }
    }
}
