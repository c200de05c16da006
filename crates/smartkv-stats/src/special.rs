//! The functions behind p-values: gamma, beta, normal and Student's t.
//!
//! Each agrees with `SciPy` to about 1e-12; formulas by their numbers in Abramowitz and Stegun,
//! `Handbook of Mathematical Functions` (A&S). Arguments outside a domain give NaN.

use std::f64::consts::{PI, SQRT_2};

/// Logarithm of the gamma function for `x > 0`: Stirling's series (A&S 6.1.40), after the
/// recurrence has raised the argument to where it converges.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    let (mut raised, mut product) = (x, 1.0);
    while raised < 12.0 {
        product *= raised;
        raised += 1.0;
    }
    let inverse = 1.0 / raised;
    let square = inverse * inverse;
    // B_2k / (2k (2k - 1)).
    let series = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
    ];
    let correction = inverse * series.iter().rev().fold(0.0, |sum, c| sum * square + c);
    (raised - 0.5) * raised.ln() - raised + 0.5 * (2.0 * PI).ln() + correction - product.ln()
}

/// Regularised incomplete beta function `I_x(a, b)`, `a, b > 0`: a continued fraction
/// (A&S 26.5.8), on the side where it converges fast.
#[must_use]
pub fn beta_inc(a: f64, b: f64, x: f64) -> f64 {
    if !(a > 0.0 && b > 0.0 && (0.0..=1.0).contains(&x)) {
        return f64::NAN;
    }
    beta_inc_of(a, b, x, 1.0 - x)
}

/// [`beta_inc`] with `y = 1 - x`, which keeps its digits where `x` is close to 1.
fn beta_inc_of(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 || y <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_inc_of(b, a, y, x);
    }
    let ln_beta = ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    let front = (a * x.ln() + b * y.ln() - ln_beta).exp() / a;
    let term = |i: u32| {
        let m = f64::from(i / 2);
        if i.is_multiple_of(2) {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        }
    };
    front / lentz(1.0, |i| (term(i), 1.0))
}

/// `b0 + a1 / (b1 + a2 / (b2 + ...))` by the method of Lentz; `terms(i)` gives `(a_i, b_i)`.
fn lentz(b0: f64, terms: impl Fn(u32) -> (f64, f64)) -> f64 {
    const MOST_TERMS: u32 = 100_000;
    let nonzero = |x: f64| if x.abs() < 1e-300 { 1e-300 } else { x };
    let mut value = nonzero(b0);
    let (mut c, mut d) = (value, 0.0);
    for i in 1..MOST_TERMS {
        let (a, b) = terms(i);
        d = 1.0 / nonzero(b + a * d);
        c = nonzero(b + a / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

/// Probability that a standard normal variable is at most `z`: its series near 0 (A&S 26.2.11),
/// a continued fraction in the tails (A&S 26.2.14), so that small probabilities keep their digits.
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    if z.is_nan() {
        return f64::NAN;
    }
    let size = z.abs();
    let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
    if size < 3.0 {
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term.abs() > 1e-17 * sum.abs() {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    if density == 0.0 {
        return if z > 0.0 { 1.0 } else { 0.0 };
    }
    let tail = density / lentz(size, |i| (f64::from(i), size));
    if z > 0.0 { 1.0 - tail } else { tail }
}

/// The `z` below which a standard normal variable lies with probability `p`: a rough start
/// (A&S 26.2.23), refined by Halley's method. Infinite at 0 and 1.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    let t = (-2.0 * p.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut z = above / below - t;
    for _ in 0..4 {
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        if density == 0.0 {
            break;
        }
        let step = (normal_cdf(z) - p) / density;
        z -= step / (1.0 + 0.5 * z * step);
    }
    z
}

/// Probability that a variable of Student's t distribution lies beyond `±|t|` (A&S 26.7.1).
#[must_use]
pub fn t_two_sided(t: f64, degrees: f64) -> f64 {
    if t.is_nan() || degrees.is_nan() || degrees <= 0.0 {
        return f64::NAN;
    }
    if (t * t).is_infinite() {
        return 0.0;
    }
    let sum = degrees + t * t;
    beta_inc_of(0.5 * degrees, 0.5, degrees / sum, t * t / sum)
}

/// The `t` below which a variable of Student's t distribution lies with probability `p`, by
/// bisection. Infinite at 0 and 1.
#[must_use]
pub fn t_quantile(p: f64, degrees: f64) -> f64 {
    if !((0.0..=1.0).contains(&p) && degrees > 0.0) {
        return f64::NAN;
    }
    if p < 0.5 {
        return -t_quantile(1.0 - p, degrees);
    }
    let beyond = 2.0 * (1.0 - p);
    let (mut low, mut high) = (0.0, SQRT_2);
    while t_two_sided(high, degrees) > beyond {
        (low, high) = (high, 2.0 * high);
        if high.is_infinite() {
            return high;
        }
    }
    if beyond == 0.0 {
        return f64::INFINITY;
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if t_two_sided(middle, degrees) > beyond {
            low = middle;
        } else {
            high = middle;
        }
    }
}
