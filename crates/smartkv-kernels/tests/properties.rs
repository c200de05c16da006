//! Properties over random shapes and values, for every implementation that this processor runs.

use half::f16;
use proptest::prelude::*;
use smartkv_core::packed::tiled;
use smartkv_core::{
    Axis, Bits, Codebook, Format, Kernels, Reference, Role, Rows, RowsMut, TILE_ROWS, Tiles,
};
use smartkv_kernels::{available, by_name, conformance};

fn implementations() -> impl Iterator<Item = &'static dyn Kernels> {
    available().into_iter().map(|name| by_name(name).unwrap())
}

/// A format and a head dimension that it fits, up to 512.
fn shapes() -> impl Strategy<Value = (Format, usize)> {
    let bits = vec![Bits::B2, Bits::B3, Bits::B4, Bits::B8, Bits::F8, Bits::F16];
    (
        prop::sample::select(bits),
        1..=64usize,
        any::<bool>(),
        any::<bool>(),
        any::<prop::sample::Index>(),
        levels(),
    )
        .prop_map(|(bits, eighths, symmetric, whole, group, levels)| {
            let divisors: Vec<usize> = (1..=eighths).filter(|g| eighths % g == 0).collect();
            let group_size = if whole { 0 } else { 8 * group.get(&divisors) };
            let format = Format::new(bits, group_size, symmetric);
            (levels.of(format), 8 * eighths)
        })
}

/// A format that stores tiles, and a head dimension that it fits, up to 256.
fn tile_shapes() -> impl Strategy<Value = (Format, usize)> {
    let bits = prop::sample::select(vec![Bits::B2, Bits::B3, Bits::B4, Bits::B8]);
    (
        bits,
        1..=16usize,
        any::<bool>(),
        any::<bool>(),
        any::<prop::sample::Index>(),
        levels(),
    )
        .prop_map(|(bits, sixteenths, symmetric, tokens, group, levels)| {
            let head_dim = 16 * sixteenths;
            let format = match tokens {
                true => {
                    let fits = |g: &usize| (2 * head_dim).is_multiple_of(*g);
                    let blocks: Vec<usize> = (16..=128).step_by(16).filter(fits).collect();
                    Format {
                        symmetric,
                        ..Format::per_channel(bits, *group.get(&blocks))
                    }
                }
                false => {
                    let divisors: Vec<usize> = (0..=head_dim)
                        .filter(|&g| g == 0 || head_dim % g == 0)
                        .collect();
                    Format::new(bits, *group.get(&divisors), symmetric)
                }
            };
            (levels.of(format), head_dim)
        })
        .prop_filter("no tiles", |(format, head_dim)| {
            tiled(*format, *head_dim) && format.check(*head_dim).is_ok()
        })
}

/// Levels of codes that may have others than an even grid.
#[derive(Debug, Clone)]
enum Levels {
    Even,
    Book(Vec<i8>),
    Gaussian,
}

impl Levels {
    fn of(&self, format: Format) -> Format {
        if format.bits.count() > 4 {
            return format;
        }
        match self {
            Self::Even => format,
            Self::Book(levels) => format.with_codebook(book_of(format.bits, levels)),
            Self::Gaussian => Format {
                symmetric: true,
                codebook: Some(Codebook::gaussian(format.bits).unwrap()),
                ..format
            },
        }
    }
}

fn levels() -> impl Strategy<Value = Levels> {
    prop_oneof![
        5 => Just(Levels::Even),
        3 => codebooks().prop_map(Levels::Book),
        2 => Just(Levels::Gaussian),
    ]
}

/// Levels for codes of any width: different integers, some below zero and some above.
fn codebooks() -> impl Strategy<Value = Vec<i8>> {
    prop::collection::btree_set(-126i8..=126, 16).prop_map(|levels| levels.into_iter().collect())
}

/// As many of the levels as the width has, with both ends.
fn book_of(bits: Bits, levels: &[i8]) -> Codebook {
    let count = 1 << bits.count();
    let mut some: Vec<f32> = levels[..count - 2].iter().map(|&l| f32::from(l)).collect();
    some.insert(0, -127.0);
    some.push(127.0);
    some.sort_by(f32::total_cmp);
    Codebook::new(&some).unwrap()
}

/// Values as they come and at the edges: zeros of both signs, subnormals, halves of steps.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -4.0f32..4.0,
        2 => -6e4f32..6e4,
        2 => (-40i8..40).prop_map(|n| f32::from(n) * 0.5),
        1 => -1e-7f32..1e-7,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => (0u16..0x7C00).prop_map(|bits| f16::from_bits(bits).to_f32()),
    ]
}

/// Encoded rows.
#[derive(Debug, Default)]
struct Stored {
    payload: Vec<u8>,
    scales: Vec<f16>,
    zeros: Vec<f16>,
}

/// The same bits, in zeros of any sign as well.
impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        let bits = |values: &[f16]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.payload == other.payload
            && bits(&self.scales) == bits(&other.scales)
            && bits(&self.zeros) == bits(&other.zeros)
    }
}

impl Stored {
    fn out(&mut self) -> RowsMut<'_> {
        RowsMut {
            payload: &mut self.payload,
            scales: &mut self.scales,
            zeros: &mut self.zeros,
        }
    }
}

fn encode(kernels: &dyn Kernels, format: Format, head_dim: usize, x: &[f32]) -> Stored {
    let mut stored = Stored::default();
    kernels.encode(format, head_dim, x, stored.out());
    stored
}

/// The exponential is good to a few units in the last place over its whole range, which is
/// closer than the suite demands.
#[test]
fn exponentials_are_close() {
    for kernels in implementations() {
        let x: Vec<f32> = (0..=1_000_000).map(|i| i as f32 * -8.7e-5).collect();
        let mut y = x.clone();
        kernels.softmax_part(&mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let want = f64::from(x).exp();
            let off = (f64::from(y) - want).abs() / want;
            assert!(
                off < 3e-7,
                "{}: exp({x}) is {y}, {off:.1e} off",
                kernels.name()
            );
        }
    }
}

proptest! {
    /// Every operation agrees with the reference on any shape.
    #[test]
    fn any_shape_conforms(
        (format, head_dim) in shapes(),
        rows in 0..140usize,
        queries in 1..70usize,
    ) {
        for kernels in implementations() {
            conformance::check(kernels, format, head_dim, rows, &[queries]);
        }
    }

    /// Codes, scales and zero points are the reference's, bit for bit, whatever the values; and
    /// no decoded value of a uniform grid is more than half a step off.
    #[test]
    fn any_values_encode_like_the_reference(
        (format, head_dim) in shapes(),
        values in prop::collection::vec(value(), 512),
        rows in 1..4usize,
    ) {
        let x: Vec<f32> = values.iter().copied().cycle().take(rows * head_dim).collect();
        let want = encode(&Reference, format, head_dim, &x);
        for kernels in implementations() {
            let got = encode(kernels, format, head_dim, &x);
            prop_assert_eq!(&got, &want, "{}", kernels.name());
            let Stored { payload, scales, zeros } = &got;
            let view = Rows { format, head_dim, len: rows, payload, scales, zeros };
            let mut decoded = vec![f32::NAN; x.len()];
            kernels.decode(view, &mut decoded);
            for (at, (&x, &y)) in x.iter().zip(&decoded).enumerate() {
                if format.codebook.is_some() || format.bits == Bits::F8 {
                    break;
                }
                let step = match scales.get(at / format.group(head_dim)) {
                    Some(scale) => scale.to_f32(),
                    None => (x.abs() * 1e-3).max(6e-8),
                };
                let room = 1e-6 * (x.abs() + step * 256.0);
                prop_assert!((x - y).abs() <= step / 2.0 + room, "{x} became {y}, step {step}");
            }
        }
    }

    /// The same of tiles; and decoding them gives the reference's values.
    #[test]
    fn any_tiles_encode_like_the_reference(
        (format, head_dim) in tile_shapes(),
        role in prop::sample::select(vec![Role::Keys, Role::Values]),
        values in prop::collection::vec(value(), 521),
        blocks in 1..4usize,
    ) {
        let rows = blocks * TILE_ROWS.max(format.block_rows());
        let x: Vec<f32> = values.iter().copied().cycle().take(rows * head_dim).collect();
        let mut want = Stored::default();
        Reference.encode_tiles(format, role, head_dim, &x, want.out());
        let tiles = Tiles {
            format,
            role,
            head_dim,
            count: rows / TILE_ROWS,
            payload: &want.payload,
            scales: &want.scales,
            zeros: &want.zeros,
        };
        let mut decoded = vec![f32::NAN; x.len()];
        Reference.decode_tiles(tiles, &mut decoded);
        for kernels in implementations() {
            let mut got = Stored::default();
            kernels.encode_tiles(format, role, head_dim, &x, got.out());
            prop_assert_eq!(&got, &want, "{}", kernels.name());
            let mut back = vec![f32::NAN; x.len()];
            kernels.decode_tiles(tiles, &mut back);
            prop_assert_eq!(&back, &decoded, "{}", kernels.name());
        }
    }

    /// Every operation on tiles keeps to the reference on any shape.
    #[test]
    fn any_tiles_conform(
        (format, head_dim) in tile_shapes(),
        role in prop::sample::select(vec![Role::Keys, Role::Values]),
        tiles in 1..10usize,
        queries in 1..40usize,
    ) {
        for kernels in implementations() {
            conformance::check_tiles(kernels, format, role, head_dim, tiles, &[queries]);
        }
    }

    /// A block of a channel is a row of its own: the same scales and zero points.
    #[test]
    fn channels_of_blocks_are_quantised_as_rows(
        bits in prop::sample::select(vec![Bits::B2, Bits::B3, Bits::B4, Bits::B8]),
        symmetric in any::<bool>(),
        block in prop::sample::select(vec![16usize, 32, 64]),
        values in prop::collection::vec(value(), 32 * 64),
    ) {
        let head_dim = 32;
        let x = &values[..block * head_dim];
        let format = Format { symmetric, ..Format::per_channel(bits, block) };
        let along = Format { axis: Axis::Channels, group_size: 0, ..format };
        for kernels in implementations() {
            let mut got = Stored::default();
            kernels.encode_tiles(format, Role::Keys, head_dim, x, got.out());
            for j in 0..head_dim {
                let column: Vec<f32> = x[j..].iter().step_by(head_dim).copied().collect();
                let want = encode(kernels, along, block, &column);
                prop_assert_eq!(got.scales[j].to_bits(), want.scales[0].to_bits());
                if !symmetric {
                    prop_assert_eq!(got.zeros[j].to_bits(), want.zeros[0].to_bits());
                }
            }
        }
    }

    /// Squares of very different sizes are added in one order, and scales of values too small for
    /// one are 0, whatever adds and rounds them.
    #[test]
    fn sums_of_squares_are_the_reference_s(
        bits in prop::sample::select(vec![Bits::B2, Bits::B3, Bits::B4]),
        group in prop::sample::select(vec![8usize, 24, 64, 128]),
        exponents in prop::collection::vec(-40i32..15, 384),
        size in -24i32..1,
        head in prop::collection::vec(-2.0f32..2.0, 384),
    ) {
        let x: Vec<f32> = head
            .iter()
            .zip(&exponents)
            .map(|(v, &e)| v * 2f32.powi(e + size))
            .collect();
        let format = Format::symmetric(bits, group).with_codebook(Codebook::gaussian(bits).unwrap());
        let want = encode(&Reference, format, 384, &x);
        for kernels in implementations() {
            prop_assert_eq!(&encode(kernels, format, 384, &x), &want, "{}", kernels.name());
        }
    }

    /// Every f32 has one code in e4m3, whatever rounds it.
    #[test]
    fn any_bits_become_the_same_e4m3(bits in prop::collection::vec(any::<u32>(), 67)) {
        let x: Vec<f32> = bits.iter().map(|&b| f32::from_bits(b)).collect();
        let x: Vec<f32> = x.iter().map(|&v| if v.is_nan() { 464.0 } else { v }).collect();
        let x: Vec<f32> = x.iter().copied().chain(x.iter().map(|v| v % 500.0)).collect();
        let x: Vec<f32> = x.into_iter().filter(|v| v.is_finite()).collect();
        let x = &x[..x.len() / 8 * 8];
        let want = encode(&Reference, Format::F8, 8, x);
        for kernels in implementations() {
            prop_assert_eq!(&encode(kernels, Format::F8, 8, x), &want, "{}", kernels.name());
        }
    }

    /// Zeros of both signs: scales and zero points of one sign, whatever the order.
    #[test]
    fn zeros_of_both_signs_encode_like_the_reference(
        negative in prop::collection::vec(any::<bool>(), 64),
        large in prop::collection::vec(0..4u8, 64),
    ) {
        let x: Vec<f32> = negative
            .iter()
            .zip(&large)
            .map(|(&negative, &large)| match (large, negative) {
                (0, _) => 1.5,
                (_, true) => -0.0,
                (_, false) => 0.0,
            })
            .collect();
        for format in [
            Format::asymmetric(Bits::B4, 8),
            Format::asymmetric(Bits::B2, 64),
            Format::symmetric(Bits::B4, 8),
            Format::symmetric(Bits::B3, 16).with_codebook(book_of(Bits::B3, &[-9, -5, 0, 3, 7, 20])),
            Format::asymmetric(Bits::B2, 8).with_codebook(book_of(Bits::B2, &[-9, 4])),
            Format::symmetric(Bits::B3, 8).with_codebook(Codebook::gaussian(Bits::B3).unwrap()),
        ] {
            let want = encode(&Reference, format, 64, &x);
            for kernels in implementations() {
                prop_assert_eq!(&encode(kernels, format, 64, &x), &want, "{}", kernels.name());
            }
        }
    }

    /// A mix by the parts of a segment is the mix by the whole.
    #[test]
    fn a_mix_adds_up(
        (format, head_dim) in shapes(),
        rows in 1..100usize,
        cut in any::<prop::sample::Index>(),
        queries in 1..40usize,
    ) {
        let x: Vec<f32> = (0..rows * head_dim).map(|i| (i as f32 * 0.37).sin()).collect();
        let p: Vec<f32> = (0..queries * rows).map(|i| (i as f32 * 0.11).cos().abs()).collect();
        let cut = cut.index(rows + 1);
        for kernels in implementations() {
            let Stored { payload, scales, zeros } = &encode(kernels, format, head_dim, &x);
            let view = Rows { format, head_dim, len: rows, payload, scales, zeros };
            let (mut whole, mut parts) =
                (vec![0.5; queries * head_dim], vec![0.5; queries * head_dim]);
            kernels.mix(view, &p, rows, &mut whole);
            kernels.mix(view.slice(0, cut), &p, rows, &mut parts);
            kernels.mix(view.slice(cut, rows - cut), &p[cut..], rows, &mut parts);
            for (a, b) in whole.iter().zip(&parts) {
                prop_assert!((a - b).abs() <= 1e-5 * rows as f32, "{}: {a}, {b}", kernels.name());
            }
        }
    }
}
