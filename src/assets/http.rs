//! Fetching a file over HTTP: resumable, verified, and found under its name only when whole.

use super::client::{accept, authorised, client, pause, send};
use super::disk::{create_dir, discard, publish, with_suffix};
use super::{AssetError, FileRecord, Policy, Progress, Result, Task, Token, digest};
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{self, HeaderMap};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes read and written at once.
const BLOCK: usize = 256 << 10;

/// What is known of a file beforehand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its size.
    pub bytes: Option<u64>,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// One file to fetch.
///
/// Until it is whole and verified it lies at `DEST.partial`, from where a later run goes on.
#[derive(Clone, Debug)]
pub struct Download {
    /// Where it is.
    pub url: String,
    /// Where it goes.
    pub dest: PathBuf,
    /// What people see it called.
    pub label: String,
    /// What it must turn out to be.
    pub expected: Expected,
    /// Sent along, to this host only.
    pub token: Option<Token>,
}

impl Download {
    /// Fetches the file.
    ///
    /// # Errors
    ///
    /// When the server does not give it, the connection stays broken, the content is not what
    /// it must be, or it cannot be written.
    pub fn run(&self, policy: &Policy, progress: &Progress) -> Result<FileRecord> {
        if let Some(parent) = self.dest.parent() {
            create_dir(parent)?;
        }
        let client = client(policy, &self.url)?;
        let mut task = progress.start(&self.label, self.expected.bytes);
        let mut best = self.have();
        let mut failures = 0;
        while let Err(error) = self.attempt(&client, &mut task) {
            if !error.is_transient() {
                return Err(error);
            }
            // A connection that breaks often and still moves on is not given up.
            let have = self.have();
            if have > best {
                (best, failures) = (have, 0);
            }
            failures += 1;
            if failures >= policy.attempts {
                return Err(error);
            }
            pause(policy, failures);
        }
        let partial = self.partial();
        let record = verify(&partial, &self.name(), &self.expected);
        discard(&self.etag_file());
        let record = record?;
        publish(&partial, &self.dest)?;
        task.finish();
        Ok(record)
    }

    /// One request, whose answer goes to the end of what is there already.
    fn attempt(&self, client: &Client, task: &mut Task) -> Result<()> {
        let have = self.have();
        if have > 0 && self.expected.bytes == Some(have) {
            // Complete; an earlier run ended before it could be verified.
            task.resume(have);
            return Ok(());
        }
        let mut request = authorised(client.get(&self.url), self.token.as_ref())
            .header(header::ACCEPT_ENCODING, "identity");
        let etag = fs::read_to_string(self.etag_file()).ok();
        // Without a digest to check in the end, only the server can tell whether what is there
        // is the beginning of the same file.
        let same = self.expected.sha256.is_some() || etag.is_some();
        let resume = have > 0 && same && self.expected.bytes.is_none_or(|bytes| have < bytes);
        if resume {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            if let Some(etag) = etag {
                request = request.header(header::IF_RANGE, etag);
            }
        }
        let response = send(request, &self.url)?;
        if resume && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Longer than the file: it was the beginning of another one.
            discard(&self.partial());
            discard(&self.etag_file());
            return self.attempt(client, task);
        }
        let response = accept(response, &self.url, self.token.is_some())?;
        let from = if response.status() == StatusCode::PARTIAL_CONTENT {
            let begin = content_range(response.headers()).map(|(begin, _)| begin);
            if begin != Some(have) {
                return Err(self.bad_reply("it continues at another place than asked"));
            }
            have
        } else {
            0
        };
        self.receive(response, from, task)
    }

    /// Writes an answer whose first byte belongs at `from`.
    fn receive(&self, mut response: Response, from: u64, task: &mut Task) -> Result<()> {
        let headers = response.headers();
        let total = match content_range(headers) {
            Some((_, total)) => total,
            None => content_length(headers).map(|length| from + length),
        };
        let total = match (total, self.expected.bytes) {
            (Some(found), Some(expected)) if found != expected => {
                return Err(AssetError::Length {
                    what: self.name(),
                    expected,
                    found,
                });
            }
            (found, expected) => found.or(expected),
        };
        let partial = self.partial();
        let mut have = from;
        let failed = |error, have| {
            AssetError::writing(
                &partial,
                total.map(|total| total.saturating_sub(have)),
                error,
            )
        };
        let mut options = File::options();
        options.create(true);
        let options = if from > 0 {
            options.append(true)
        } else {
            options.write(true).truncate(true)
        };
        let mut file = options
            .open(&partial)
            .map_err(|error| failed(error, have))?;
        // Only now: with the old bytes still there, the new tag would vouch for them.
        self.remember_etag(response.headers())
            .map_err(|error| failed(error, have))?;
        if let Some(total) = total {
            task.set_total(total);
        }
        task.resume(have);

        let mut block = vec![0; BLOCK];
        let interrupted = |have| AssetError::Interrupted {
            url: self.url.clone(),
            have,
            total,
        };
        loop {
            let read = match response.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(interrupted(have)),
            };
            file.write_all(&block[..read])
                .map_err(|error| failed(error, have))?;
            have += read as u64;
            task.set(have);
        }
        if total.is_some_and(|total| have < total) {
            return Err(interrupted(have));
        }
        Ok(())
    }

    /// Keeps what identifies this version of the file, for the run that may have to go on.
    fn remember_etag(&self, headers: &HeaderMap) -> io::Result<()> {
        let path = self.etag_file();
        let etag = headers
            .get(header::ETAG)
            .and_then(|etag| etag.to_str().ok());
        match etag {
            // A weak one does not promise the same bytes.
            Some(etag) if !etag.starts_with("W/") => fs::write(path, etag),
            _ => {
                discard(&path);
                Ok(())
            }
        }
    }

    fn have(&self) -> u64 {
        fs::metadata(self.partial()).map_or(0, |metadata| metadata.len())
    }

    fn name(&self) -> String {
        self.dest
            .file_name()
            .map_or_else(|| self.label.clone(), |n| n.display().to_string())
    }

    fn partial(&self) -> PathBuf {
        with_suffix(&self.dest, ".partial")
    }

    fn etag_file(&self) -> PathBuf {
        with_suffix(&self.dest, ".partial.etag")
    }

    fn bad_reply(&self, reason: &str) -> AssetError {
        AssetError::BadReply {
            url: self.url.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Checks a complete `partial` file, and deletes it if it is not what it must be.
pub(crate) fn verify(partial: &Path, name: &str, expected: &Expected) -> Result<FileRecord> {
    let found = fs::metadata(partial)
        .map_err(|error| AssetError::reading(partial, error))?
        .len();
    if let Some(expected) = expected.bytes.filter(|&bytes| bytes != found) {
        discard(partial);
        return Err(AssetError::Length {
            what: name.to_owned(),
            expected,
            found,
        });
    }
    let sha256 =
        digest::sha256_file(partial).map_err(|error| AssetError::reading(partial, error))?;
    if let Some(expected) = expected.sha256.as_ref().filter(|&pinned| *pinned != sha256) {
        discard(partial);
        let (what, expected) = (name.to_owned(), expected.clone());
        return Err(AssetError::Digest {
            what,
            expected,
            found: sha256,
        });
    }
    Ok(FileRecord {
        name: name.to_owned(),
        bytes: found,
        sha256,
    })
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// First byte and total of `bytes 5-9/10`; the total may be `*`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = headers
        .get(header::CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?;
    let (span, total) = range.split_once('/')?;
    let (begin, _) = span.split_once('-')?;
    Some((begin.trim().parse().ok()?, total.trim().parse().ok()))
}
