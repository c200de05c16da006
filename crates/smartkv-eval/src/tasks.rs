//! The tasks that come with the program, a file each or a folder for a family.

mod assoc_recall;
mod columns;
mod file;
mod leval;
mod longbench;
mod rouge_fidelity;
mod truncate;
mod words;
mod zeroscrolls;

pub use assoc_recall::AssocRecall;
pub use file::{File, FileMetric, TooLong};
pub use leval::LEval;
pub use longbench::LongBench;
pub use rouge_fidelity::RougeFidelity;
pub use zeroscrolls::ZeroScrolls;
