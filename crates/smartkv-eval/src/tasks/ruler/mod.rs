//! RULER: thirteen synthetic tasks of any length.

mod cwe;
mod documents;
mod dump;
mod fwe;
pub(super) mod niah;
mod qa;
mod spec;
mod vt;

use crate::error::{EvalError, Result};
use crate::metrics::ruler::{ControlCharacters, clean, match_all, match_part};
use crate::task::{Answer, Part, Sample, Samples, Score, Task, TaskCx};
use documents::Documents;
use serde_json::json;
use smartkv_core::{config, task};
use spec::{Family, Spec};

/// Asks the thirteen tasks of RULER in prompts that fill the context as far as they can.
///
/// Samples are generated with the model's own tokenizer: prompt and room for the answer have at
/// most the context's tokens, with the largest haystack that fits. Wording, distributions and
/// scores are RULER's (`string_match_all`, and `string_match_part` of `qa_1` and `qa_2`); the
/// context is everything before the question, as in kvpress. Its random numbers are not
/// reproduced, and some things differ. Words: keys are pairs of our own lists, the words of `cwe`
/// come from the same lists and the tokenizer's vocabulary, whose tokens may be beginnings of
/// words. Prose: the haystack of the run.
/// Sentences: a splitter of our own. Keys and values of a prompt are all different. Where RULER
/// has no samples, below 4096 tokens, the examples that `vt` and `cwe` begin with shrink, `cwe`
/// has none below 1024, and `qa_2` leaves documents out that do not support the answer. Questions
/// of `qa_1` and `qa_2` come in a random order, and one whose documents do not fit is passed over.
#[config]
pub struct Ruler {
    /// Tasks by RULER's names; without `qa_1` and `qa_2` no data is needed.
    #[default(spec::names().map(str::to_owned).collect())]
    pub tasks: Vec<String>,
    /// Samples of each task.
    #[default(500)]
    #[range(1..)]
    pub samples: usize,
    /// Ready-made samples to read instead: a path or a data set of the hub, in RULER's own lines
    /// (`TASK/validation.jsonl`) or as kvpress publishes them (`simonjegou/ruler`). Tasks that
    /// it does not have are left out.
    pub dump: Option<String>,
    /// SQuAD 2.0 for `qa_1`: a path or a data set of the hub.
    #[default("rajpurkar/squad_v2".to_owned())]
    pub squad: String,
    /// HotpotQA for `qa_2`: a path or a data set of the hub.
    #[default("hotpotqa/hotpot_qa".to_owned())]
    pub hotpot: String,
}

/// Makes the sample that a key stands for.
type Maker<'a> = Box<dyn Fn(Key) -> Result<Sample> + 'a>;

/// Which sample of which task is made, so that any can be made alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) seed: u64,
    /// Tells tasks apart; below 2^16.
    pub(super) task: u64,
    pub(super) index: usize,
}

impl Key {
    /// One of several independent streams of random draws.
    pub(super) fn draws(self, stream: u64) -> crate::random::Draws {
        let task = (2 << 16) | self.task;
        crate::random::Draws::keyed([self.seed, task, self.index as u64, stream])
    }
}

impl Ruler {
    fn specs(&self) -> Result<Vec<&'static Spec>> {
        if self.tasks.is_empty() {
            return Err(EvalError::parameter("tasks", "[]", "at least one task"));
        }
        self.tasks.iter().map(|name| spec::find(name)).collect()
    }

    /// The files of a question answering task.
    fn documents<'a>(&'a self, source: Documents, cx: &TaskCx<'_>) -> Result<documents::Files<'a>> {
        let root = match source {
            Documents::Squad => &self.squad,
            Documents::Hotpot => &self.hotpot,
        };
        source.find(root, cx.data)
    }
}

#[task("ruler", family = "retrieval", paper = "arXiv 2404.06654")]
impl Task for Ruler {
    fn parts(&self, cx: &TaskCx<'_>) -> Result<Vec<Part>> {
        let mut specs = self.specs()?;
        if let Some(root) = &self.dump {
            specs = dump::present(root, &specs, cx)?;
        } else {
            // Data that is missing is said before anything is run.
            for spec in &specs {
                if let Family::Qa(source) = spec.family {
                    self.documents(source, cx)?;
                }
            }
        }
        let part = |spec: &&Spec| Part {
            samples: self.dump.is_none().then_some(self.samples),
            meta: [("length_tokens".to_owned(), json!(cx.context_tokens))]
                .into_iter()
                .collect(),
            ..Part::new(spec.name, spec.family.metric())
        };
        Ok(specs.iter().map(part).collect())
    }

    fn samples<'a>(&'a self, part: &'a Part, cx: &'a TaskCx<'a>) -> Result<Samples<'a>> {
        let spec = spec::find(&part.name)?;
        if let Some(root) = &self.dump {
            let samples = dump::samples(root, spec, self.specs()?.len() == 1, cx)?;
            return Ok(Box::new(samples.take(self.samples)));
        }
        let mut most = self.samples;
        let make: Maker<'a> = match &spec.family {
            Family::Niah(niah) => niah.maker(spec, cx)?,
            Family::Vt => vt::maker(spec, cx),
            Family::Cwe => cwe::maker(spec, cx)?,
            Family::Fwe => fwe::maker(spec, cx),
            Family::Qa(source) => {
                let corpus = self.documents(*source, cx)?.read()?;
                most = most.min(corpus.questions.len());
                qa::maker(spec, corpus, self.samples, cx)
            }
        };
        Ok(Box::new((0..most).map(move |index| {
            let mut sample = make(Key {
                seed: cx.seed,
                task: spec.number(),
                index,
            })?;
            sample.id = index.to_string();
            Ok(sample)
        })))
    }

    fn score(&self, part: &Part, sample: &Sample, answer: &Answer) -> Result<Score> {
        let text = clean(&answer.text, ControlCharacters::Broken);
        let score = match spec::find(&part.name)?.family {
            Family::Qa(_) => match_part(&text, &sample.answers),
            _ => match_all(&text, &sample.answers),
        };
        Ok(score.into())
    }
}
