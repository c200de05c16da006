//! Where ticks stand on an axis and what they say.

use super::data::{AxisFormat, AxisScale};
use super::label::{Label, Span};

/// Numbers from here on are written as powers of ten.
const LONGEST: f64 = 1e6;
/// Numbers on a logarithmic axis below this are written as powers of ten.
const SHORTEST: f64 = 1e-3;

/// The ticks of an axis.
#[derive(Debug, Clone)]
pub(crate) struct Ticks {
    /// Values with what is written at them, upwards.
    pub(crate) major: Vec<(f64, Label)>,
    /// Values with a short mark only.
    pub(crate) minor: Vec<f64>,
    /// The unit that the numbers are in, where the format chose one.
    pub(crate) unit: Option<&'static str>,
}

/// How a format rescales numbers, and what follows each of them.
struct Writing {
    factor: f64,
    suffix: &'static str,
    unit: Option<&'static str>,
}

/// Chooses at most `most` labelled ticks between two values of the axis.
pub(crate) fn choose(
    scale: AxisScale,
    format: AxisFormat,
    (low, high): (f64, f64),
    most: usize,
) -> Ticks {
    let most = most.max(2);
    let writing = writing(scale, format, low.abs().max(high.abs()));
    let (from, to) = (low / writing.factor, high / writing.factor);
    let (major, minor) = match scale {
        AxisScale::Linear => (linear(from, to, most, format), Vec::new()),
        AxisScale::Log => decades(from, to, most),
        AxisScale::Log2 => (doublings(from, to, most), Vec::new()),
    };
    let labels = match scale {
        AxisScale::Linear => linear_labels(&major),
        AxisScale::Log => log_labels(&major),
        AxisScale::Log2 => major.iter().map(|value| plain(*value)).collect(),
    };
    let label = |(value, mut label): (f64, Label)| {
        if value != 0.0 || writing.suffix == "%" {
            if format == AxisFormat::Tokens && scale == AxisScale::Log2 {
                label = tokens(value);
            }
            if !writing.suffix.is_empty() {
                label.0.push(Span {
                    text: writing.suffix.to_owned(),
                    raised: false,
                });
            }
        }
        (value * writing.factor, label)
    };
    Ticks {
        major: major.into_iter().zip(labels).map(label).collect(),
        minor: minor
            .into_iter()
            .map(|value| value * writing.factor)
            .collect(),
        unit: writing.unit,
    }
}

fn writing(scale: AxisScale, format: AxisFormat, largest: f64) -> Writing {
    let plain = Writing {
        factor: 1.0,
        suffix: "",
        unit: None,
    };
    match format {
        AxisFormat::Percent => Writing {
            factor: 0.01,
            suffix: "%",
            unit: None,
        },
        AxisFormat::Bytes => {
            let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
            let unit = units
                .iter()
                .find(|(power, _)| largest >= 2.0_f64.powi(*power));
            match unit {
                Some((power, name)) => Writing {
                    factor: 2.0_f64.powi(*power),
                    suffix: "",
                    unit: Some(name),
                },
                None => Writing {
                    unit: Some("bytes"),
                    ..plain
                },
            }
        }
        AxisFormat::Tokens if scale == AxisScale::Linear && largest >= 4096.0 => Writing {
            factor: 1024.0,
            suffix: "k",
            unit: None,
        },
        AxisFormat::Number | AxisFormat::Whole | AxisFormat::Tokens => plain,
    }
}

/// A token count: whole multiples of 1024 with a `k`.
pub(crate) fn tokens(count: f64) -> Label {
    if count >= 1024.0 && count % 1024.0 == 0.0 {
        Label::from(format!("{}k", count / 1024.0))
    } else {
        plain(count)
    }
}

/// Multiples of 1, 2, 2.5 or 5 times a power of ten; whole ones where nothing lies between.
fn linear(low: f64, high: f64, most: usize, format: AxisFormat) -> Vec<f64> {
    let span = high - low;
    let whole = format == AxisFormat::Whole;
    let mut power = 10.0_f64.powf((span / most as f64).log10().floor());
    if whole {
        power = power.max(1.0);
    }
    let step = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 50.0]
        .map(|digit| digit * power)
        .into_iter()
        .filter(|step| !whole || step.fract() == 0.0)
        .find(|step| multiples(low, high, *step).len() <= most)
        .unwrap_or(span);
    let ticks = multiples(low, high, step);
    if ticks.is_empty() {
        vec![f64::midpoint(low, high)]
    } else {
        ticks
    }
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    // A hair of slack, since a multiple of 0.1 is rarely one in binary.
    let slack = 1e-9;
    let first = (low / step - slack).ceil();
    let last = (high / step + slack).floor();
    if !(last - first).is_finite() || last - first > 1000.0 {
        return vec![low; 1001];
    }
    let count = (last - first + 1.0).max(0.0) as usize;
    (0..count)
        .map(|index| (first + index as f64) * step + 0.0)
        .collect()
}

/// Powers of ten, with the digits between them where there is room.
fn decades(low: f64, high: f64, most: usize) -> (Vec<f64>, Vec<f64>) {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let inside = |value: &f64| *value >= low * (1.0 - 1e-9) && *value <= high * (1.0 + 1e-9);
    let at = |digits: &[f64]| -> Vec<f64> {
        (first..=last)
            .flat_map(|power| digits.iter().map(move |digit| digit * 10.0_f64.powi(power)))
            .filter(inside)
            .collect()
    };
    let every = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let powers = at(&[1.0]);
    if powers.len() >= 3 {
        let stride = powers.len().div_ceil(most);
        if stride == 1 {
            return (powers, at(&every[1..]));
        }
        let on_stride = |value: &f64| (value.log10().round() as i32).rem_euclid(stride as i32) == 0;
        let (major, minor) = powers.into_iter().partition(on_stride);
        return (major, minor);
    }
    let sets: [&[f64]; 4] = [&every, &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let fitting = sets.into_iter().map(at).find(|ticks| ticks.len() <= most);
    match fitting {
        Some(major) if major.len() >= 2 => (major, at(&every)),
        _ => (
            linear(low, high, most.min(4), AxisFormat::Number),
            Vec::new(),
        ),
    }
}

/// Powers of two.
fn doublings(low: f64, high: f64, most: usize) -> Vec<f64> {
    let (first, last) = (
        (low.log2() - 1e-9).ceil() as i32,
        (high.log2() + 1e-9).floor() as i32,
    );
    if last <= first {
        return linear(low, high, most.min(4), AxisFormat::Number);
    }
    let stride = ((last - first + 1) as usize).div_ceil(most) as i32;
    (first..=last)
        .filter(|power| power.rem_euclid(stride) == last.rem_euclid(stride))
        .map(|power| 2.0_f64.powi(power))
        .collect()
}

fn linear_labels(ticks: &[f64]) -> Vec<Label> {
    let largest = ticks
        .iter()
        .fold(0.0_f64, |most, tick| most.max(tick.abs()));
    let step = ticks
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .fold(largest, f64::min);
    let step = if step > 0.0 { step } else { 1.0 };
    if largest >= LONGEST || (largest > 0.0 && largest < SHORTEST) {
        let power = largest.log10().floor() as i32;
        let unit = 10.0_f64.powi(power);
        let decimals = decimals(step / unit);
        let write = |tick: &f64| {
            if *tick == 0.0 {
                return Label::from("0");
            }
            Label(vec![
                Span {
                    text: format!("{}×10", fixed(tick / unit, decimals)),
                    raised: false,
                },
                Span {
                    text: power.to_string().replace('-', "−"),
                    raised: true,
                },
            ])
        };
        return ticks.iter().map(write).collect();
    }
    let decimals = decimals(step);
    ticks
        .iter()
        .map(|tick| Label::from(fixed(*tick, decimals)))
        .collect()
}

fn log_labels(ticks: &[f64]) -> Vec<Label> {
    let beyond = |tick: &f64| *tick >= LONGEST / 10.0 || *tick < SHORTEST * (1.0 - 1e-9);
    if !ticks.iter().any(beyond) {
        return ticks.iter().map(|tick| plain(*tick)).collect();
    }
    let write = |tick: &f64| {
        let power = (tick.log10() + 1e-9).floor() as i32;
        let digit = tick / 10.0_f64.powi(power);
        if (digit - digit.round()).abs() < 1e-6 {
            Label::power(digit.round() as i64, 10, power)
        } else {
            Label(vec![
                Span {
                    text: format!("{}×10", fixed(digit, 2)),
                    raised: false,
                },
                Span {
                    text: power.to_string().replace('-', "−"),
                    raised: true,
                },
            ])
        }
    };
    ticks.iter().map(write).collect()
}

/// How many decimals tell multiples of a step apart.
fn decimals(step: f64) -> usize {
    (0..12)
        .find(|decimals| {
            let shifted = step * 10.0_f64.powi(*decimals);
            (shifted - shifted.round()).abs() < 1e-6 * shifted.max(1e-3)
        })
        .unwrap_or(3) as usize
}

fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text
        .trim_start_matches('-')
        .chars()
        .all(|c| c == '0' || c == '.')
    {
        return text.trim_start_matches('-').to_owned();
    }
    text.replace('-', "−")
}

/// A number with as few digits as tell it.
fn plain(value: f64) -> Label {
    // Twelve digits hide what binary adds to 0.3.
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    Label::from(rounded.to_string().replace('-', "−"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(scale: AxisScale, format: AxisFormat, low: f64, high: f64) -> Vec<String> {
        choose(scale, format, (low, high), 6)
            .major
            .iter()
            .map(|(_, l)| l.plain())
            .collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        let linear = |low, high| said(AxisScale::Linear, AxisFormat::Number, low, high);
        assert_eq!(
            linear(0.0, 1.05),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(linear(-0.3, 0.31), ["−0.2", "0.0", "0.2"]);
        assert_eq!(
            linear(0.0, 4.2e-5),
            ["0", "1×10^−5", "2×10^−5", "3×10^−5", "4×10^−5"]
        );
    }

    #[test]
    fn counts_are_whole() {
        let whole = |low, high| said(AxisScale::Linear, AxisFormat::Whole, low, high);
        assert_eq!(whole(1.9, 4.1), ["2", "3", "4"]);
        assert_eq!(whole(0.0, 11.0), ["0", "2", "4", "6", "8", "10"]);
    }

    #[test]
    fn shares_are_per_cent() {
        let shares = said(AxisScale::Linear, AxisFormat::Percent, 0.0, 1.0);
        assert_eq!(shares, ["0%", "20%", "40%", "60%", "80%", "100%"]);
    }

    #[test]
    fn bytes_share_a_unit() {
        let ticks = choose(
            AxisScale::Linear,
            AxisFormat::Bytes,
            (0.0, 3.0 * 1_048_576.0),
            4,
        );
        let said: Vec<String> = ticks.major.iter().map(|(_, label)| label.plain()).collect();
        assert_eq!(
            (said.join(" "), ticks.unit),
            ("0 1 2 3".to_owned(), Some("MiB"))
        );
    }

    #[test]
    fn decades_are_tidy() {
        let log = |low, high| said(AxisScale::Log, AxisFormat::Number, low, high);
        assert_eq!(log(0.05, 20.0), ["0.1", "1", "10"]);
        assert_eq!(log(8e-5, 0.2), ["10^−4", "10^−3", "10^−2", "10^−1"]);
        assert_eq!(log(0.95, 6.0), ["1", "2", "3", "4", "5", "6"]);
        assert_eq!(log(0.5, 6.0), ["0.5", "1", "2", "5"]);
        assert_eq!(log(0.15, 0.7), ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]);
        assert_eq!(log(3.1, 3.3), ["3.1", "3.2", "3.3"]);
    }

    #[test]
    fn token_counts_double() {
        let tokens = said(AxisScale::Log2, AxisFormat::Tokens, 500.0, 33_000.0);
        assert_eq!(tokens, ["512", "2k", "8k", "32k"]);
    }

    proptest! {
        /// Ticks lie on the axis, rise, and are neither none nor too many.
        #[test]
        fn ticks_lie_on_the_axis(
            low in -1e6_f64..1e6,
            span in 1e-6_f64..1e7,
            most in 2_usize..9,
            which in 0..3,
        ) {
            let scale = [AxisScale::Linear, AxisScale::Log, AxisScale::Log2][which as usize];
            let low = if which == 0 { low } else { low.abs() + 1e-9 };
            let high = low + span.max(low.abs() * 1e-6);
            let ticks = choose(scale, AxisFormat::Number, (low, high), most);
            prop_assert!(!ticks.major.is_empty() && ticks.major.len() <= most.max(4));
            let slack = (high - low) * 1e-6;
            for (value, _) in &ticks.major {
                prop_assert!(*value >= low - slack && *value <= high + slack, "{value}");
            }
            prop_assert!(ticks.major.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
