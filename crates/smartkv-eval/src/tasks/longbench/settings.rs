//! The two configuration files of `LongBench`: its prompts, and how long answers may be.

use super::prompt::Format;
use crate::error::{EvalError, Result};
use crate::rows;
use crate::task::{DataFile, TaskCx};
use serde_json::Value;

const PROMPTS: &str = "dataset2prompt.json";
const LENGTHS: &str = "dataset2maxlen.json";

/// Both files.
pub(super) struct Settings {
    prompts: Json,
    lengths: Json,
}

struct Json {
    file: String,
    value: Value,
}

impl Settings {
    /// Reads both, from `place` as data is found.
    pub(super) fn read(place: &str, cx: &TaskCx<'_>) -> Result<Self> {
        let read = |name: &str| -> Result<Json> {
            let names = [
                format!("config/{name}"),
                format!("LongBench/config/{name}"),
                name.to_owned(),
            ];
            let files = cx.data.files(place, &names.each_ref().map(String::as_str));
            // A file given as the data is whatever file is asked for.
            let named = |file: &&DataFile| file.name.rsplit('/').next() == Some(name);
            let files = files.map_err(|error| missing(place, &error.to_string()))?;
            let Some(file) = files.iter().find(named) else {
                return Err(missing(place, &format!("no {name}")));
            };
            Ok(Json {
                file: rows::shown(file),
                value: rows::whole(file)?,
            })
        };
        Ok(Self {
            prompts: read(PROMPTS)?,
            lengths: read(LENGTHS)?,
        })
    }

    /// The prompt of a data set, and the most tokens of an answer.
    pub(super) fn of(&self, dataset: &str) -> Result<(Format, usize)> {
        let Self { prompts, lengths } = self;
        let prompt = prompts.value.get(dataset).and_then(Value::as_str);
        let prompt = prompt.ok_or_else(|| prompts.bad(dataset, "expected a prompt"))?;
        let format = Format::parse(prompt).map_err(|reason| prompts.bad(dataset, &reason))?;
        let length = lengths.value.get(dataset).and_then(Value::as_u64);
        let length = length.filter(|&length| length > 0);
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or_else(|| lengths.bad(dataset, "expected a number of tokens"))?;
        Ok((format, length))
    }
}

impl Json {
    fn bad(&self, dataset: &str, reason: &str) -> EvalError {
        EvalError::Data {
            file: self.file.clone(),
            line: None,
            reason: format!("`{dataset}`: {reason}"),
        }
    }
}

fn missing(place: &str, why: &str) -> EvalError {
    EvalError::Outside {
        error: format!("LongBench needs {PROMPTS} and {LENGTHS}, not found in {place}: {why}")
            .into(),
        hints: vec![
            "both are published in the folder LongBench/config of \
             https://github.com/THUDM/LongBench: put them in a folder and name it with `config`"
                .to_owned(),
        ],
    }
}
