//! The thread that sends what the file holds.
//!
//! It reads the file behind the thread that writes it, so that what a slow server has not taken
//! needs no memory, and what it never takes is in the file.

use super::batch::Batch;
use super::clock::Moment;
use super::proto::{self, Kind, Record};
use super::settings::{Resume, Settings};
use super::shared::{Outcome, Shared};
use super::spool::SpoolReader;
use super::transport::{Failure, Purpose, Transport};
use super::wire::{self, Held, Place, Upload};
use prost::Message as _;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often one file is tried.
const FILE_TRIES: u32 = 20;
/// How long one file may take.
const UPLOAD: Duration = Duration::from_secs(180);
/// A wait that only news ends.
const LONG: Duration = Duration::from_secs(3600);

/// Why nothing more is sent.
enum Stop {
    /// The server refuses, or is not there.
    Lost(String),
    /// Nobody waits any more.
    Abandoned,
}

/// The sender of one run.
pub(super) struct Uploader {
    settings: Settings,
    shared: Arc<Shared>,
    transport: Transport,
    /// When requests began to fail, while they do.
    outage: Option<Instant>,
    last_request: Option<Instant>,
    /// Files that wait for their upload.
    pending: Vec<Pending>,
    /// When the first attempt began that failed after the run's end.
    late_failure: Option<Instant>,
    warned_of_file: bool,
}

/// A file that is not uploaded yet.
struct Pending {
    upload: Upload,
    headers: Arc<[(String, String)]>,
    tries: u32,
}

/// Whatever ends the sender, a panic too, nobody waits for it longer.
struct Ending {
    shared: Arc<Shared>,
    outcome: Outcome,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let outcome = self.outcome;
        self.shared.change(|state| state.outcome = Some(outcome));
    }
}

impl Uploader {
    pub(super) fn new(settings: &Settings, shared: Arc<Shared>) -> Result<Self, String> {
        let key = settings.key.clone().ok_or("there is no key")?;
        let transport = Transport::new(&settings.base_url, key);
        Ok(Self {
            settings: settings.clone(),
            shared,
            transport: transport.map_err(|failure| failure.reason)?,
            outage: None,
            last_request: None,
            pending: Vec::new(),
            late_failure: None,
            warned_of_file: false,
        })
    }

    /// Sends until the run has ended or the server is given up.
    pub(super) fn run(mut self) {
        let mut ending = Ending {
            shared: self.shared.clone(),
            outcome: Outcome::Kept,
        };
        ending.outcome = match self.send_all() {
            Ok(()) => Outcome::Sent,
            Err(Stop::Abandoned) => Outcome::Kept,
            Err(Stop::Lost(reason)) => {
                self.settings.notices.warn(&reason);
                Outcome::Kept
            }
        };
    }

    fn send_all(&mut self) -> Result<(), Stop> {
        let opened = |state: &super::shared::State| state.file.is_some() || state.abandoned;
        while !self.shared.wait(LONG, opened) {}
        let file = self.shared.read(|state| state.file.clone());
        let file = file.ok_or(Stop::Abandoned)?;
        let mut reader = SpoolReader::open(&file).map_err(|error| unreadable(&file, &error))?;
        let (run, program) = self.head(&file, &mut reader)?;
        let started = run.start_time.map(Moment::from_proto);
        let (place, held) = self.start(&run, &program)?;
        let page = format!(
            "{}/{}/{}/runs/{}",
            page(&self.settings.base_url),
            place.entity,
            place.project,
            place.run
        );
        self.shared.change(|state| state.page = Some(page));
        self.follow(&file, &mut reader, Batch::after(held, started), &place)
    }

    /// The run and the program, from the records at the beginning.
    fn head(&self, file: &Path, reader: &mut SpoolReader) -> Result<(proto::Run, String), Stop> {
        let mut run = None;
        loop {
            match self.next(file, reader)? {
                Some(Kind::Run(found)) => run = Some(*found),
                Some(Kind::Environment(environment)) => {
                    let run =
                        run.ok_or_else(|| Stop::Lost("the file begins without a run".to_owned()))?;
                    return Ok((run, environment.program));
                }
                Some(_) => {}
                None => return Err(Stop::Lost("the file ends before the run begins".to_owned())),
            }
        }
    }

    fn next(&self, file: &Path, reader: &mut SpoolReader) -> Result<Option<Kind>, Stop> {
        let committed = self.shared.read(|state| state.committed);
        while reader.position() < committed {
            let record = reader.next_record();
            let Some(record) = record.map_err(|error| unreadable(file, &error))? else {
                return Ok(None);
            };
            let record = Record::decode(record.as_slice());
            let record = record.map_err(|error| unreadable(file, &error))?;
            if record.kind.is_some() {
                return Ok(record.kind);
            }
        }
        Ok(None)
    }

    /// Creates the run, or finds the one to go on with.
    fn start(&mut self, run: &proto::Run, program: &str) -> Result<(Place, Option<Held>), Stop> {
        let id = &run.run_id;
        let held = if self.settings.resume == Resume::Overwrite {
            None
        } else {
            let body = wire::resume_status(run);
            let answer = self.persist(Purpose::Other, |transport| transport.graphql(&body))?;
            wire::held(&answer)
        };
        let refused = match (self.settings.resume, &held) {
            (Resume::Must, None) => Some("there is no run `{id}` to resume"),
            (Resume::Never, Some(_)) => Some("there is a run `{id}` already"),
            _ => None,
        };
        if let Some(why) = refused {
            return Err(Stop::Lost(why.replace("{id}", id)));
        }
        let body = wire::upsert(run, program, held.as_ref().map(|held| held.id.as_str()));
        let answer = self.persist(Purpose::Upsert, |transport| transport.graphql(&body))?;
        let place = wire::place(&answer)
            .ok_or_else(|| Stop::Lost("the server's answer names no run".to_owned()))?;
        Ok((place, held))
    }

    fn follow(
        &mut self,
        file: &Path,
        reader: &mut SpoolReader,
        mut batch: Batch,
        place: &Place,
    ) -> Result<(), Stop> {
        let files = file.with_file_name("files");
        loop {
            // Read first: what is written after that comes with news of its own.
            let (closed, exit_code) = self.shared.read(|state| (state.closed, state.exit_code));
            while !batch.is_full() {
                let Some(kind) = self.next(file, reader)? else {
                    break;
                };
                batch.take(kind);
            }
            if closed && !batch.is_full() {
                // Its record is missing if the disk was full.
                batch.exit_code.get_or_insert(exit_code);
            }
            let in_a_hurry = closed || batch.is_full();
            if self.wait(batch.has_news(), in_a_hurry, reader.position())? {
                continue;
            }
            let names = std::mem::take(&mut batch.files);
            // Lines do not wait for files, and the end comes after both.
            let waiting = !(names.is_empty() && self.pending.is_empty());
            let mut stream = batch.stream();
            if waiting {
                stream.exit_code = None;
            }
            let (summary, end) = (stream.summary.is_some(), stream.exit_code.is_some());
            let body = stream.body();
            if std::mem::take(&mut batch.skipped) > 0 {
                let text = "a line or the summary is longer than the server takes, and is left \
                            out there";
                self.settings.notices.warn(text);
            }
            let answer = self.persist(Purpose::Other, |to| to.stream(place, &body))?;
            self.last_request = Some(Instant::now());
            batch.arrived(summary);
            if wire::is_stopped(&answer) && !self.shared.read(|state| state.stopped) {
                self.shared.change(|state| state.stopped = true);
                let text = "someone pressed Stop on the run's page";
                self.settings.notices.warn(text);
            }
            if end {
                return Ok(());
            }
            self.ask_for_places(names, place)?;
            self.upload(&files, &mut batch)?;
        }
    }

    /// Waits until a request is due; `true` if there may be more to read before.
    fn wait(&self, has_news: bool, in_a_hurry: bool, read: u64) -> Result<bool, Stop> {
        if self.shared.read(|state| state.abandoned) {
            return Err(Stop::Abandoned);
        }
        let pace = &self.settings.pace;
        let pause = if has_news {
            pace.transmit
        } else {
            pace.heartbeat
        };
        let elapsed = self.last_request.map(|at| at.elapsed());
        let left = match elapsed {
            // The first goes out at once, but it is not a heartbeat.
            None if has_news => Duration::ZERO,
            None => pause,
            Some(elapsed) => pause.saturating_sub(elapsed),
        };
        if left.is_zero() || in_a_hurry {
            return Ok(false);
        }
        let news = |state: &super::shared::State| {
            state.committed > read || state.closed || state.abandoned
        };
        Ok(self.shared.wait(left, news))
    }

    /// Asks where new files go. Those the server has no place for are left out.
    fn ask_for_places(&mut self, mut names: Vec<String>, place: &Place) -> Result<(), Stop> {
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Ok(());
        }
        let body = wire::create_files(place, &names);
        let answer = self.persist(Purpose::Other, |transport| transport.graphql(&body));
        let answer = match answer {
            Ok(answer) => answer,
            Err(Stop::Lost(reason)) if self.outage.is_none() => {
                self.warn_of_file(&names.join(", "), &reason);
                return Ok(());
            }
            Err(stop) => return Err(stop),
        };
        let (uploads, headers) = wire::uploads(&answer);
        let headers: Arc<[_]> = headers.into();
        for upload in uploads {
            if names.contains(&upload.name) {
                // A file that was written anew goes to its new place.
                self.pending
                    .retain(|pending| pending.upload.name != upload.name);
                self.pending.push(Pending {
                    upload,
                    headers: headers.clone(),
                    tries: 0,
                });
            }
        }
        Ok(())
    }

    /// Tries every file that waits once. Where they are stored may be another server than the one
    /// that takes the lines: a failure says nothing about that one.
    fn upload(&mut self, folder: &Path, batch: &mut Batch) -> Result<(), Stop> {
        let pace = self.settings.pace;
        let mut failures = 0;
        for mut pending in std::mem::take(&mut self.pending) {
            let (closed, abandoned) = self.shared.read(|state| (state.closed, state.abandoned));
            if abandoned {
                return Err(Stop::Abandoned);
            }
            let too_late = |at: Option<Instant>| {
                closed && at.is_some_and(|at| at.elapsed() > pace.last_attempt)
            };
            let name = pending.upload.name.clone();
            if too_late(self.late_failure) {
                self.warn_of_file(&name, "the run has ended");
                continue;
            }
            pending.tries += 1;
            self.shared
                .change(|state| state.storing = Some(name.clone()));
            let began = Instant::now();
            // Lines still wait for their end: a file may take but a part of that time.
            let timeout = if closed {
                pace.goodbye.mul_f64(0.6)
            } else {
                UPLOAD
            };
            let put = std::fs::read(folder.join(&name)).map_err(|error| Failure {
                status: Some(0),
                retry_after: None,
                reason: error.to_string(),
            });
            let put = put.and_then(|content| {
                let (url, headers) = (&pending.upload.url, &pending.headers);
                self.transport.put(url, headers, content, timeout)
            });
            self.shared.change(|state| {
                state.storing = None;
                state.answers += u64::from(put.is_ok());
            });
            let Err(failure) = put else {
                batch.uploaded.push(name);
                continue;
            };
            if closed {
                self.late_failure.get_or_insert(began);
            }
            let again = failure.is_transient(Purpose::Other) && pending.tries < FILE_TRIES;
            if again && !too_late(self.late_failure) {
                failures = pending.tries.max(failures);
                self.pending.push(pending);
            } else {
                self.warn_of_file(&name, &failure.reason);
            }
        }
        if failures > 0 && self.shared.read(|state| state.closed) {
            // Nothing else is due: the next attempt would come at once.
            let wait = self.backoff(failures - 1).min(pace.last_attempt);
            self.shared.wait(wait, |state| state.abandoned);
        }
        Ok(())
    }

    fn warn_of_file(&mut self, name: &str, reason: &str) {
        if !std::mem::replace(&mut self.warned_of_file, true) {
            let text = format!("{name} cannot be uploaded: {reason}");
            self.settings.notices.warn(&text);
        }
    }

    /// Asks until there is an answer, the server refuses, or it was away for too long.
    fn persist<T>(
        &mut self,
        purpose: Purpose,
        mut ask: impl FnMut(&Transport) -> Result<T, Failure>,
    ) -> Result<T, Stop> {
        let mut failures = 0;
        loop {
            let failure = match ask(&self.transport) {
                Ok(answer) => {
                    self.outage = None;
                    self.shared.change(|state| {
                        state.answers += 1;
                        state.outage = false;
                    });
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            if !failure.is_transient(purpose) {
                self.outage = None;
                return Err(Stop::Lost(failure.reason));
            }
            let since = *self.outage.get_or_insert_with(Instant::now);
            self.shared.change(|state| state.outage = true);
            let wait = failure
                .retry_after
                .unwrap_or_else(|| self.backoff(failures));
            failures += 1;
            if since.elapsed().saturating_add(wait) > self.settings.pace.outage {
                let seconds = since.elapsed().as_secs();
                return Err(Stop::Lost(format!(
                    "no use of the server for {seconds} s: {}",
                    failure.reason
                )));
            }
            // At the end there is no time for long waits: more attempts soon, unless the server
            // said when.
            let closed = self.shared.read(|state| state.closed);
            let hurry = failure.retry_after.is_none() && !closed;
            let wait = if closed && failure.retry_after.is_none() {
                wait.min(self.settings.pace.last_attempt / 4)
            } else {
                wait
            };
            self.shared
                .wait(wait, |state| state.abandoned || (hurry && state.closed));
            if self.shared.read(|state| state.abandoned) {
                return Err(Stop::Abandoned);
            }
        }
    }

    /// Doubled with each failure, and up to a quarter more, so that clients do not come together.
    fn backoff(&self, failures: u32) -> Duration {
        let pace = &self.settings.pace;
        let wait = pace.backoff.saturating_mul(1 << failures.min(16));
        let more = 1.0 + super::random_share() / 4.0;
        wait.min(pace.longest_backoff)
            .mul_f64(more)
            .min(pace.longest_backoff)
    }
}

fn unreadable(file: &Path, error: &impl ToString) -> Stop {
    let (file, error) = (file.display(), error.to_string());
    Stop::Lost(format!("{file} cannot be read back: {error}"))
}

/// Where people see what is sent to `base_url`.
fn page(base_url: &str) -> &str {
    match base_url {
        "https://api.wandb.ai" => "https://wandb.ai",
        own => own,
    }
}
