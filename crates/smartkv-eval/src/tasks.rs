//! The tasks that come with the program, a file each or a folder for a family.

mod assoc_recall;
mod columns;
mod leval;
mod longbench;
mod truncate;
mod words;
mod zeroscrolls;

pub use assoc_recall::AssocRecall;
pub use leval::LEval;
pub use longbench::LongBench;
pub use zeroscrolls::ZeroScrolls;
