//! Job arrays within a site's limits.

use std::fmt::Write as _;

/// What a site allows of one job array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayLimits {
    /// `MaxArraySize`: indices lie below it; 0 forbids arrays.
    pub size: usize,
    /// `max_array_tasks`, where a site allows fewer tasks than indices.
    pub tasks: Option<usize>,
}

impl ArrayLimits {
    /// The limits in what `scontrol show config` prints; `None` if it does not say.
    #[must_use]
    pub fn parse(config: &str) -> Option<Self> {
        let value = |key: &str| {
            config.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == key).then(|| value.trim())
            })
        };
        let tasks = value("SchedulerParameters")
            .into_iter()
            .flat_map(|parameters| parameters.split(','))
            .find_map(|parameter| parameter.trim().strip_prefix("max_array_tasks="))
            .and_then(|count| count.parse().ok());
        Some(Self {
            size: value("MaxArraySize")?.parse().ok()?,
            tasks,
        })
    }

    /// How many tasks an array with indices from 0 may have.
    #[must_use]
    pub fn most_tasks(self) -> usize {
        self.tasks.map_or(self.size, |tasks| tasks.min(self.size))
    }
}

/// Splits the places of cells into arrays of at most `most` tasks. Task `n` of an array is its
/// `n`-th cell: indices begin at 0 in each, so none lies beyond the largest that is allowed, however
/// far back in the plan its cell stands. No array if `most` is 0.
#[must_use]
pub fn arrays(places: &[usize], most: usize) -> Vec<Vec<usize>> {
    if most == 0 {
        return Vec::new();
    }
    places.chunks(most).map(<[usize]>::to_vec).collect()
}

/// Ascending numbers as Slurm and people write them: `0-3,7`.
#[must_use]
pub fn ranges(numbers: &[usize]) -> String {
    let mut text = String::new();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        if !text.is_empty() {
            text.push(',');
        }
        let _ = match run {
            [first, .., last] => write!(text, "{first}-{last}"),
            [only] => write!(text, "{only}"),
            [] => Ok(()),
        };
    }
    text
}

/// The value of `sbatch --array` for `count` tasks, `at_once` of them at a time.
#[must_use]
pub fn array_option(count: usize, at_once: Option<usize>) -> String {
    let indices = ranges(&(0..count).collect::<Vec<_>>());
    at_once.map_or(indices.clone(), |most| format!("{indices}%{most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_ranges() {
        for (numbers, written) in [
            (&[][..], ""),
            (&[4], "4"),
            (&[0, 1], "0-1"),
            (&[0, 1, 2, 3, 7], "0-3,7"),
            (&[1, 3, 5], "1,3,5"),
            (&[0, 2, 3, 9, 10, 11], "0,2-3,9-11"),
        ] {
            assert_eq!(ranges(numbers), written);
        }
        assert_eq!(array_option(1, None), "0");
        assert_eq!(array_option(1000, Some(8)), "0-999%8");
    }

    #[test]
    fn every_place_is_in_one_array_and_none_is_too_long() {
        let places: Vec<usize> = (0..2500).filter(|place| place % 7 != 3).collect();
        for most in [1, 2, 1000, 1001, 5000] {
            let arrays = arrays(&places, most);
            assert_eq!(arrays.concat(), places);
            assert_eq!(arrays.len(), places.len().div_ceil(most));
            assert!(arrays.iter().all(|array| array.len() <= most));
        }
        assert!(arrays(&places, 0).is_empty());
        assert!(arrays(&[], 5).is_empty());
    }

    #[test]
    fn limits_are_read_from_the_configuration() {
        let text = "Configuration data as of 2026-11-21T10:00:00\nMaxArraySize            = 1001\n\
                    MaxJobCount             = 10000\nSchedulerParameters     = (null)\n";
        let limits = ArrayLimits::parse(text).unwrap();
        assert_eq!((limits.size, limits.tasks), (1001, None));
        assert_eq!(limits.most_tasks(), 1001);
        let fewer = text.replace("(null)", "bf_interval=5,max_array_tasks=200");
        assert_eq!(ArrayLimits::parse(&fewer).unwrap().most_tasks(), 200);
        let more = text.replace("(null)", "max_array_tasks=5000");
        assert_eq!(ArrayLimits::parse(&more).unwrap().most_tasks(), 1001);
        assert_eq!(ArrayLimits::parse("MaxJobCount = 10"), None);
        assert_eq!(ArrayLimits::parse("MaxArraySize = many"), None);
    }
}
