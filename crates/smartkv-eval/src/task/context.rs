//! What a task may know while it makes samples.

use super::data::{DataSource, Haystack};
use super::options::PromptStyle;
use super::prompt::Frame;
use super::sample::{Ask, Sample};
use crate::error::Result;
use smartkv_host::template::ChatTemplate;
use smartkv_host::tokenizer::Tokenizer;

/// What a task may know while it makes samples: never the caches it is asked of.
#[derive(Clone, Copy)]
pub struct TaskCx<'a> {
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The model's chat template, where one is to be used.
    pub template: Option<&'a ChatTemplate>,
    /// Most tokens that a prompt and its answer may have together.
    pub context_tokens: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Whether questions are seen before the context is compressed.
    pub query_aware: bool,
    /// Where data comes from.
    pub data: &'a dyn DataSource,
    /// The prose that needles hide in unless a task names another.
    pub haystack: &'a Haystack,
}

impl<'a> TaskCx<'a> {
    /// The template that `style` asks of a model.
    ///
    /// # Errors
    /// A chat template is asked of a model that has none.
    pub(crate) fn template(
        template: Option<&'a ChatTemplate>,
        style: PromptStyle,
    ) -> Result<Option<&'a ChatTemplate>> {
        match style {
            PromptStyle::Raw => Ok(None),
            PromptStyle::Auto => Ok(template),
            PromptStyle::Chat => template.map(Some).ok_or_else(|| {
                let expected = "raw: the model has no chat template";
                crate::error::EvalError::parameter("prompt style", "chat", expected)
            }),
        }
    }

    /// Tokens of the whole prompt of `sample` and of the longest answer it asks for, as it will be
    /// run: template, BOS and answer prefix included.
    ///
    /// # Errors
    /// A template that loses or repeats the user's text.
    pub fn tokens(&self, sample: &Sample) -> Result<usize> {
        let frame = Frame::of(self.template.filter(|_| sample.chat))?;
        let prompt = frame.prompt(self.tokenizer, sample, self.query_aware)?;
        let count = |text: &String| Ok(self.tokenizer.encode(text, false)?.len());
        let answer = match &sample.ask {
            Ask::Generate { max_new_tokens, .. } => *max_new_tokens,
            Ask::Choose(choices) => {
                let lengths = choices.iter().map(count).collect::<Result<Vec<_>>>()?;
                lengths.into_iter().max().unwrap_or(0)
            }
            Ask::Force => sample.gold.text().map_or(Ok(0), count)?,
        };
        Ok(prompt.context.len() + prompt.rest.len() + answer)
    }
}
