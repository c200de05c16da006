//! Question answering among distracting documents.

use super::documents::{Corpus, Question};
use super::spec::Spec;
use super::{Key, Maker};
use crate::error::{EvalError, Result};
use crate::random::Draws;
use crate::task::{Sample, TaskCx};
use crate::tasks::fit::{Units, fill};
use std::collections::BTreeSet;

const INSTRUCTION: &str = "Answer the question based on the given documents. Only give me the \
    answer and do not output any other words.";

/// Questions tried in the place of one whose documents do not fit.
const TRIES: usize = 100;

/// Samples of `corpus`, of which `samples` are asked for.
pub(super) fn maker<'a>(
    spec: &'a Spec,
    corpus: Corpus,
    samples: usize,
    cx: &'a TaskCx<'a>,
) -> Maker<'a> {
    let mut order: Vec<usize> = (0..corpus.questions.len()).collect();
    let everyone = Key {
        seed: cx.seed,
        task: spec.number(),
        index: usize::MAX,
    };
    everyone.draws(0).shuffle(&mut order);
    Box::new(move |key| {
        // Every sample has questions of its own to fall back on, so that it can be made alone.
        let mut own = (key.index..order.len()).step_by(samples.max(1)).take(TRIES);
        let mut last = None;
        loop {
            let Some(place) = own.next() else {
                return Err(last.unwrap_or_else(|| EvalError::Task("no question is left".into())));
            };
            let question = &corpus.questions[order[place]];
            match sample(spec, &corpus.documents, question, key, cx) {
                Err(error @ EvalError::PromptTooShort { .. }) => last = Some(error),
                made => return made,
            }
        }
    })
}

fn sample(
    spec: &Spec,
    documents: &[String],
    question: &Question,
    key: Key,
    cx: &TaskCx<'_>,
) -> Result<Sample> {
    let ranked = ranked(documents.len(), question, &mut key.draws(1));
    let units = Units {
        least: question.needed.len(),
        most: documents.len(),
        step: 4,
    };
    fill(cx, &format!("a sample of {}", spec.name), units, |n| {
        let mut shown = ranked[..n].to_vec();
        key.draws(2).shuffle(&mut shown);
        let shown = shown.iter().enumerate();
        let texts = shown.map(|(i, &place)| format!("Document {}:\n{}", i + 1, documents[place]));
        let context = texts.collect::<Vec<_>>().join("\n\n");
        Ok(spec.sample(
            format!("{INSTRUCTION}\n\nThe following are given documents.\n\n{context}\n\n"),
            format!("{INSTRUCTION}\n\nQuestion: {}", question.text),
            " Answer:".to_owned(),
            question.answers.clone(),
        ))
    })
}

/// All documents: those the question needs, those next to them, then the others, each group in a
/// random order.
fn ranked(count: usize, question: &Question, draws: &mut Draws) -> Vec<usize> {
    let own: BTreeSet<usize> = question
        .needed
        .iter()
        .chain(&question.first)
        .copied()
        .collect();
    let others: Vec<usize> = (0..count).filter(|place| !own.contains(place)).collect();
    let mut groups = [question.needed.clone(), question.first.clone(), others];
    for group in &mut groups {
        draws.shuffle(group);
    }
    groups.concat()
}
