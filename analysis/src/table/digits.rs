//! How many digits a number has: as many as its interval or its spread tells.

use super::{Number, Style};

/// What a number is written as, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The number.
    pub value: String,
    /// Its standard deviation.
    pub sd: Option<String>,
    /// The ends of its interval.
    pub interval: Option<(String, String)>,
    /// What follows it all: a percent sign.
    pub suffix: &'static str,
}

/// Most decimals of any number.
const MOST: i32 = 9;

/// Most digits of a number, however narrow its spread: bytes that hardly differ between seeds.
const MOST_DIGITS: i32 = 6;

/// Writes a number and what belongs to it with the same decimals.
#[must_use]
pub fn written(number: &Number) -> Written {
    if number.style == Style::P {
        return Written {
            value: p_value(number.value),
            sd: None,
            interval: None,
            suffix: "",
        };
    }
    let decimals = decimals(number);
    let factor = factor(number.style);
    let text = |value: f64| fixed(value * factor, decimals);
    let signed = |value: f64| match number.style {
        Style::Signed | Style::Change if value > 0.0 => format!("+{}", text(value)),
        _ => text(value),
    };
    Written {
        value: signed(number.value),
        sd: number.sd.map(text),
        interval: number
            .interval
            .map(|ends| (signed(ends.low), signed(ends.high))),
        suffix: if number.style == Style::Change {
            "%"
        } else {
            ""
        },
    }
}

fn factor(style: Style) -> f64 {
    if style == Style::Change { 100.0 } else { 1.0 }
}

/// Decimals of a number: two digits of half its interval, or else of its spread; four digits of the
/// number itself where it has neither.
#[must_use]
pub fn decimals(number: &Number) -> usize {
    if number.style == Style::Whole {
        return 0;
    }
    let half = number.interval.map(|ends| (ends.high - ends.low) / 2.0);
    let told = [half, number.sd].into_iter().flatten();
    let told = told
        .map(|width| width * factor(number.style))
        .find(|width| *width > 0.0);
    let first = exponent(number.value * factor(number.style));
    let wanted = match told {
        Some(width) => (1 - exponent(width)).min(MOST_DIGITS - 1 - first),
        None => 3 - first,
    };
    usize::try_from(wanted.clamp(0, MOST)).unwrap_or(0)
}

/// The power of ten of the first digit; 0 of nothing.
fn exponent(value: f64) -> i32 {
    let size = value.abs().log10().floor();
    #[expect(clippy::cast_possible_truncation, reason = "within -400..400")]
    if size.is_finite() { size as i32 } else { 0 }
}

/// With so many decimals, and no minus before a zero.
#[must_use]
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest)
            if !rest.contains(|digit: char| ('1'..='9').contains(&digit) || digit == 'i') =>
        {
            rest.to_string()
        }
        _ => text,
    }
}

fn p_value(p: f64) -> String {
    if p < 0.001 {
        "<0.001".into()
    } else {
        fixed(p, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartkv_stats::Interval;

    fn number(value: f64, ends: Option<(f64, f64)>, style: Style) -> Number {
        let interval = ends.map(|(low, high)| Interval {
            low,
            high,
            level: 0.95,
        });
        Number::new(value, style, &[]).within(interval)
    }

    fn text(number: &Number) -> String {
        let Written {
            value,
            sd,
            interval,
            suffix,
        } = written(number);
        format!("{value} {sd:?} {interval:?}{suffix}")
    }

    #[test]
    fn an_interval_says_how_many_digits_count() {
        let kl = number(0.012_345, Some((0.011_1, 0.014_2)), Style::Plain);
        assert_eq!(text(&kl), r#"0.0123 None Some(("0.0111", "0.0142"))"#);
        let wide = number(1234.5, Some((1000.0, 1500.0)), Style::Plain);
        assert_eq!(text(&wide), r#"1234 None Some(("1000", "1500"))"#);
        let spread = number(0.5, None, Style::Plain).spread(Some(0.02));
        assert_eq!(text(&spread), r#"0.500 Some("0.020") None"#);
        let narrow = number(0.299_999_85, None, Style::Plain).spread(Some(2e-7));
        assert_eq!(text(&narrow), r#"0.300000 Some("0.000000") None"#);
        let point = number(1.0, Some((1.0, 1.0)), Style::Plain);
        assert_eq!(text(&point), r#"1.000 None Some(("1.000", "1.000"))"#);
    }

    #[test]
    fn styles() {
        let change = number(0.123_4, Some((-0.05, 0.3)), Style::Change);
        assert_eq!(text(&change), r#"+12 None Some(("-5", "+30"))%"#);
        let tiny = number(-0.000_000_1, None, Style::Plain);
        assert_eq!(text(&tiny), "-0.000000100 None None");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(
            text(&number(1e9, None, Style::Whole)),
            "1000000000 None None"
        );
        assert_eq!(text(&number(0.0, None, Style::Signed)), "0.000 None None");
        assert_eq!(text(&number(0.000_2, None, Style::P)), "<0.001 None None");
        assert_eq!(text(&number(0.041_6, None, Style::P)), "0.042 None None");
        assert_eq!(text(&number(f64::NAN, None, Style::Plain)), "NaN None None");
    }
}
