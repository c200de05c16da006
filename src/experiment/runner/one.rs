//! One cell, idempotently, in this process.

use super::CellOutcome;
use crate::assets::Policy;
use crate::experiment::cell::{Cell, run_cell};
use crate::experiment::error::store_error;
use crate::experiment::failure::Failure;
use crate::experiment::resident;
use crate::experiment::store::{CellRecord, Held, Store, discard};
use serde_json::{Value, json};
use smartkv_eval::Progress;
use std::time::{Instant, SystemTime};

/// Runs `cell` unless the store has its record. A damaged record is moved away first, a failure
/// is recorded and is no error. A failure that was recorded before is tried again, unless there are
/// more of them than the `failures` that are known.
///
/// # Errors
/// A cell that another process is at, and a store that cannot be read or written.
pub fn one_cell(
    cell: &Cell,
    failures: Option<u32>,
    store: &Store,
    policy: &Policy,
    progress: &dyn Progress,
) -> anyhow::Result<CellOutcome> {
    let id = cell.id();
    if let Held::Record(_) = store.held(&id)? {
        return Ok(CellOutcome::Cached);
    }
    let _lock = store.lock(&id)?;
    // Another process may have finished it meanwhile.
    match store.held(&id)? {
        Held::Record(_) => return Ok(CellOutcome::Cached),
        Held::Damaged(why) => {
            let place = store.quarantine(&id)?;
            eprintln!(
                "warning: the record of {id} is damaged ({why}): moved to {}",
                place.display()
            );
        }
        Held::Failure(failure) if failures.is_some_and(|known| failure.attempts > known) => {
            return Ok(CellOutcome::Failed(failure.class, failure.message));
        }
        Held::Failure(_) | Held::Nothing => {}
    }
    let attempts = store.attempts(&id)? + 1;
    let (started, clock) = (SystemTime::now(), Instant::now());
    resident::reset();
    let journals = store.journals(&id);
    let result = match run_cell(cell, &journals, policy, progress) {
        Ok(result) => result,
        // A disk that takes no more is no fault of the cell.
        Err(error) if store_error(&error).is_some() => return Err(error),
        Err(error) => {
            let failure = store.fail(Failure::of(cell, &error))?;
            return Ok(CellOutcome::Failed(failure.class, failure.message));
        }
    };
    let mut facts = json!({
        "schema": "smartkv.run/1",
        "id": id,
        "started": timestamp(started),
        "seconds": clock.elapsed().as_secs_f64(),
        "host": host(),
        "threads": rayon::current_num_threads(),
        "peak_resident_bytes": resident::peak(),
        "attempts": attempts,
    });
    if let (Some(facts), Value::Object(more)) = (facts.as_object_mut(), result.facts.clone()) {
        facts.extend(more);
    }
    store.finish(&CellRecord::new(cell, result.result.clone()), &facts)?;
    result.finish();
    discard(&journals);
    Ok(CellOutcome::Done)
}

/// A time in UTC as RFC 3339 has it, to the second.
fn timestamp(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(i64::try_from(days).unwrap_or(0));
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01. Counted in years that
/// begin in March, whose months have the same lengths in all of them.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let since = days + 719_468;
    let (era, day_of_era) = (
        since.div_euclid(DAYS_OF_400_YEARS),
        since.rem_euclid(DAYS_OF_400_YEARS),
    );
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The machine's name, from where Linux has it or from the environment.
fn host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_string())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, written) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(timestamp(time), written);
        }
        // A clock before the epoch is wrong, and no reason to stop.
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(timestamp(before), "1970-01-01T00:00:00Z");
    }
}
