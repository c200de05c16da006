//! The tasks that come with the program, a file each or a folder for a family.

mod assoc_recall;
mod copy;
mod fit;
mod haystack;
mod lexicon;
mod magic;
mod multikey;
mod needle;
mod ruler;
mod secret;
mod words;

pub use assoc_recall::AssocRecall;
pub use copy::Copy;
pub use haystack::Hay;
pub use multikey::MultiKey;
pub use needle::{Needle, NeedleValue};
pub use ruler::Ruler;
