//! Rounding as papers write it. Scales and zero points are f16, rounded so that no value of a
//! group lies outside its levels.

use half::f16;

/// Rows of channels.
pub(crate) type Rows = Vec<Vec<f64>>;

/// As f16 holds it.
pub(crate) fn narrow(x: f64) -> f64 {
    f16::from_f32(x as f32).to_f64()
}

/// A row as f16 holds it.
pub(crate) fn narrowed(row: &[f64]) -> Vec<f64> {
    row.iter().map(|&x| narrow(x)).collect()
}

/// The f16 nearest to `x` of those that `allowed` takes; the nearest of all is one step off it at
/// most.
fn nearest_of(x: f64, allowed: impl Fn(f64) -> bool) -> f64 {
    let bits = f16::from_f64(x).to_bits();
    let candidates = [-1, 0, 1].map(|by| f16::from_bits(bits.wrapping_add_signed(by)).to_f64());
    let allowed = candidates.into_iter().filter(|c| allowed(*c));
    let nearest = allowed.min_by(|a, b| (a - x).abs().total_cmp(&(b - x).abs()));
    nearest.expect("a neighbour on either side")
}

/// `zero + scale · round((x - zero) / scale)`, with `scale = (max - min) / (2^bits - 1)` and
/// `zero = min`.
pub(crate) fn asymmetric(group: &[f64], bits: u8) -> Vec<f64> {
    let least = group.iter().copied().fold(f64::INFINITY, f64::min);
    let most = group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let last = 2f64.powi(bits.into()) - 1.0;
    let zero = nearest_of(least, |z| z <= least);
    let exact = (most - zero) / last;
    let scale = nearest_of(exact, |s| s >= exact);
    let round = |x: &f64| zero + scale * ((x - zero) / scale).round().clamp(0.0, last);
    group.iter().map(round).collect()
}

/// `scale · round(x / scale)` with `scale = max |x| / (2^(bits-1) - 1)`; ties go up.
pub(crate) fn symmetric(group: &[f64], bits: u8) -> Vec<f64> {
    let most = group.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let half = 2f64.powi(i32::from(bits) - 1);
    let exact = most / (half - 1.0);
    let scale = nearest_of(exact, |s| s >= exact);
    let round = |x: &f64| scale * (x / scale + 0.5).floor().clamp(-half, half - 1.0);
    group.iter().map(round).collect()
}

/// Rounds every `group` channels of each row together.
pub(crate) fn per_token(rows: &Rows, group: usize, round: impl Fn(&[f64]) -> Vec<f64>) -> Rows {
    let row = |row: &Vec<f64>| row.chunks(group).flat_map(&round).collect();
    rows.iter().map(row).collect()
}

/// Rounds each channel of every `group` rows together.
pub(crate) fn per_channel(rows: &Rows, group: usize, round: impl Fn(&[f64]) -> Vec<f64>) -> Rows {
    let block = |rows: &[Vec<f64>]| {
        let column = |j: usize| round(&rows.iter().map(|row| row[j]).collect::<Vec<f64>>());
        let columns: Rows = (0..rows[0].len()).map(column).collect();
        let row = |i: usize| columns.iter().map(|column| column[i]).collect();
        (0..rows.len()).map(row).collect::<Rows>()
    };
    rows.chunks(group).flat_map(block).collect()
}
