//! The figures of a record that `smartkv analyze` wrote.

mod attention;
mod latency;
mod memory;
mod precision;
mod read;
mod sensitivity;

pub use read::AnalysisRecord;

use super::sidecar::Source;
use super::{Data, Drawing, Kind, Options, file_name};
use crate::error::{AnalysisError, Result};
use crate::figure::Width;

/// Makes the figures of one kind.
///
/// # Errors
/// A record without what the kind needs, or that is not what its version says.
pub fn of_record(record: &AnalysisRecord, kind: Kind, options: &Options) -> Result<Vec<Drawing>> {
    let cx = Context {
        record,
        kind,
        options,
    };
    match kind {
        Kind::Attention => attention::maps(&cx),
        Kind::Entropy => attention::entropy(&cx),
        Kind::Allocation => precision::allocation(&cx),
        Kind::Tokens => precision::tokens(&cx),
        Kind::Budget => memory::budget(&cx),
        Kind::Latency => latency::bars(&cx),
        Kind::Sensitivity => sensitivity::drawings(&cx),
        Kind::Pareto | Kind::Sweep | Kind::Ablation | Kind::Needle | Kind::Cost => {
            let known = Kind::OF_RECORDS.map(Kind::name).join(", ");
            let hint = format!("name a plan of a store, or one of {known}");
            Err(cx.lacks("it is of plans", &hint))
        }
    }
}

/// What every kind of figure is made from.
struct Context<'a> {
    record: &'a AnalysisRecord,
    kind: Kind,
    options: &'a Options,
}

impl Context<'_> {
    fn lacks(&self, reason: &str, hint: &str) -> AnalysisError {
        AnalysisError::Figure {
            from: format!("record {}", self.record.path.display()),
            what: self.kind.name(),
            reason: reason.into(),
            hint: hint.into(),
        }
    }

    /// A figure of this record; `part` follows its name and the kind in its own.
    fn drawing(&self, part: &str, data: Data, notes: Vec<String>) -> Drawing {
        let dash = if part.is_empty() { "" } else { "-" };
        let name = format!("{}-{}{dash}{part}", self.record.name, self.kind.name());
        Drawing {
            name: file_name(&name),
            kind: self.kind,
            metric: None,
            data,
            sources: Vec::new(),
            notes,
            left_out: Vec::new(),
        }
    }

    /// All numbers at a place of the record.
    fn source(&self, of: &str, pointer: &str) -> Source {
        Source {
            of: vec![of.to_string()],
            number: pointer.to_string(),
            value: None,
            lower: None,
            upper: None,
            cells: self.cells(),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![self.record.id.clone()]
    }

    fn width(&self, own: Width) -> Width {
        self.options.width.unwrap_or(own)
    }
}

/// A strategy with its budget, as people read it.
fn strategy(name: &str, budget: &serde_json::Value) -> String {
    let name = super::words::strategy(name);
    match budget {
        serde_json::Value::Null => name,
        serde_json::Value::String(text) => format!("{name} @ {text}"),
        other => format!("{name} @ {other}"),
    }
}
