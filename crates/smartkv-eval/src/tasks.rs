//! The tasks that come with the program, a file each or a folder for a family.

mod assoc_recall;
mod words;

pub use assoc_recall::AssocRecall;
