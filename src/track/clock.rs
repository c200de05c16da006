//! Times as W&B writes them, all in UTC.

use super::proto::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(Duration);

impl Moment {
    pub(super) fn now() -> Self {
        Self(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }

    /// Seconds since 1970.
    pub(super) fn unix_seconds(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Seconds since `earlier`, 0 if the clock was set back.
    pub(super) fn since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0).as_secs_f64()
    }

    pub(super) fn to_proto(self) -> Timestamp {
        Timestamp {
            seconds: i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX),
            nanos: self.0.subsec_nanos().try_into().unwrap_or_default(),
        }
    }

    pub(super) fn from_proto(time: Timestamp) -> Self {
        let seconds = u64::try_from(time.seconds).unwrap_or_default();
        let nanos = u32::try_from(time.nanos).unwrap_or_default();
        Self(Duration::new(seconds, nanos.min(999_999_999)))
    }

    /// `2026-11-21T01:57:08.656526`.
    pub(super) fn iso(self) -> String {
        let (year, month, day, [hour, minute, second]) = self.civil();
        let micros = self.0.subsec_micros();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}")
    }

    /// `20261121_015708`.
    pub(super) fn stamp(self) -> String {
        let (year, month, day, [hour, minute, second]) = self.civil();
        format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
    }

    /// Year, month, day, and the time of the day.
    fn civil(self) -> (u64, u64, u64, [u64; 3]) {
        let seconds = self.0.as_secs();
        let of_day = seconds % 86_400;
        let time = [of_day / 3600, of_day / 60 % 60, of_day % 60];
        let mut days = seconds / 86_400;
        let leap = |year: u64| {
            (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
        };
        let mut year = 1970;
        loop {
            let length = if leap(year) { 366 } else { 365 };
            if days < length {
                break;
            }
            days -= length;
            year += 1;
        }
        let february = if leap(year) { 29 } else { 28 };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 1;
        for length in lengths {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        (year, month, days + 1, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds: u64, micros: u32| Moment(Duration::new(seconds, micros * 1000));
        // Made with `date -u -d @SECONDS`.
        assert_eq!(at(0, 0).iso(), "1970-01-01T00:00:00.000000");
        assert_eq!(at(951_827_696, 5).iso(), "2000-02-29T12:34:56.000005");
        assert_eq!(
            at(1_795_226_228, 656_526).iso(),
            "2026-11-21T01:57:08.656526"
        );
        assert_eq!(at(1_798_761_599, 0).stamp(), "20261231_235959");
        assert_eq!(at(1_798_761_600, 0).stamp(), "20270101_000000");
        let moment = Moment::now();
        assert_eq!(Moment::from_proto(moment.to_proto()), moment);
    }
}
