//! The tasks that come with the program, a file each or a folder for a family.

mod assoc_recall;
mod columns;
mod copy;
mod file;
mod fit;
mod haystack;
mod leval;
mod lexicon;
mod longbench;
mod magic;
mod multikey;
mod needle;
mod rouge_fidelity;
mod ruler;
mod secret;
mod truncate;
mod words;
mod zeroscrolls;

pub use assoc_recall::AssocRecall;
pub use copy::Copy;
pub use file::{File, FileMetric, TooLong};
pub use haystack::Hay;
pub use leval::LEval;
pub use longbench::LongBench;
pub use multikey::MultiKey;
pub use needle::{Needle, NeedleValue};
pub use rouge_fidelity::RougeFidelity;
pub use ruler::Ruler;
pub use zeroscrolls::ZeroScrolls;
