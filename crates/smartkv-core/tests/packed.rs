//! Packed rows behave like a plain list of decoded rows, whatever is done to them.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
#![allow(clippy::float_cmp, clippy::unwrap_used)]

use half::f16;
use proptest::prelude::*;
use proptest::sample::Index;
use smartkv_core::{
    Axis, Bits, Codebook, Digits, Format, Kernels, PackedRows, Reference, Role, Rows, RowsMut,
    TILE_ROWS,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

const HEAD_DIMS: [usize; 8] = [8, 32, 40, 64, 80, 96, 128, 256];

/// A small generator of inputs (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn value(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 22) as f32 - 2.0
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }
}

fn codebook(bits: Bits) -> Codebook {
    let count = 1usize << bits.count();
    let middle = (count - 1) as f32 / 2.0;
    let levels: Vec<f32> = (0..count)
        .map(|i| (i as f32 - middle) * (1.0 + (i as f32 - middle).abs()))
        .collect();
    Codebook::new(&levels).unwrap()
}

/// Every format with groups of channels, and the head dimension that it fits.
fn formats() -> impl Strategy<Value = (Format, usize)> {
    let bits = vec![Bits::B2, Bits::B3, Bits::B4, Bits::B8, Bits::F8, Bits::F16];
    (
        prop::sample::select(bits),
        prop::sample::select(HEAD_DIMS.to_vec()),
        any::<Index>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(bits, head_dim, group, symmetric, book)| {
            let divisors: Vec<usize> = (0..=head_dim)
                .filter(|&g| g == 0 || head_dim % g == 0)
                .collect();
            let format = match bits {
                Bits::F8 => Format::F8,
                Bits::F16 => Format::F16,
                bits => Format::new(bits, *group.get(&divisors), symmetric),
            };
            let booked = book && bits.count() <= 4;
            let format = if booked {
                format.with_codebook(codebook(bits))
            } else {
                format
            };
            format.check(head_dim).unwrap();
            (format, head_dim)
        })
}

fn roles() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Keys, Role::Values])
}

/// What `x` becomes, row by row, in buffers of its own.
fn stored(format: Format, head_dim: usize, x: &[f32]) -> Vec<Vec<f32>> {
    let (mut payload, mut scales, mut zeros) = (vec![], vec![], vec![]);
    let out = RowsMut {
        payload: &mut payload,
        scales: &mut scales,
        zeros: &mut zeros,
    };
    Reference.encode(format, head_dim, x, out);
    let rows = Rows {
        format,
        head_dim,
        len: x.len() / head_dim,
        payload: &payload,
        scales: &scales,
        zeros: &zeros,
    };
    let mut decoded = vec![f32::NAN; x.len()];
    Reference.decode(rows, &mut decoded);
    decoded.chunks(head_dim).map(<[f32]>::to_vec).collect()
}

/// What a row of codes stands for, by the documentation of [`Format`].
fn meaning(format: Format, codes: &[u8], scales: &[f16], zeros: &[f16]) -> Vec<f32> {
    let group = format.group(codes.len());
    let value = |(channel, &code): (usize, &u8)| {
        let scale = scales[channel / group].to_f32();
        let zero = zeros.get(channel / group).map(|z| z.to_f32());
        if let Some(book) = &format.codebook {
            let level = book.of(format.bits)[usize::from(code)];
            return zero.unwrap_or(0.0) + scale * f32::from(level);
        }
        let half = (1u32 << (format.bits.count() - 1)) as f32;
        zero.unwrap_or(-scale * half) + scale * f32::from(code)
    };
    codes.iter().enumerate().map(value).collect()
}

#[derive(Debug, Clone)]
enum Action {
    Push(usize),
    PushCodes,
    SwapRemove(Index),
    Drain(Index, Index),
    Truncate(Index),
    Clear,
    Shrink,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        4 => (0..40usize).prop_map(Action::Push),
        2 => (1..3usize).prop_map(Action::Push),
        4 => Just(Action::PushCodes),
        4 => any::<Index>().prop_map(Action::SwapRemove),
        4 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Action::Drain(a, b)),
        2 => any::<Index>().prop_map(Action::Truncate),
        1 => Just(Action::Clear),
        1 => Just(Action::Shrink),
    ];
    prop::collection::vec(action, 1..40)
}

/// Does the same to both.
fn act(rows: &mut PackedRows, model: &mut Vec<Vec<f32>>, action: &Action, random: &mut Random) {
    let (format, head_dim) = (rows.format(), rows.head_dim());
    match action {
        Action::Push(count) => {
            let x = random.values(count * head_dim);
            rows.push(&Reference, &x);
            model.extend(stored(format, head_dim, &x));
        }
        Action::PushCodes if !format.bits.is_float() => {
            let codes: Vec<u8> = (0..head_dim)
                .map(|_| (random.next() as u32 & format.bits.max_code()) as u8)
                .collect();
            let mut halves = |count: usize| -> Vec<f16> {
                (0..count).map(|_| f16::from_f32(random.value())).collect()
            };
            let scales = halves(format.scales(head_dim));
            let zeros = halves(format.zeros(head_dim));
            rows.push_codes(&codes, &scales, &zeros);
            model.push(meaning(format, &codes, &scales, &zeros));
        }
        Action::SwapRemove(index) if !model.is_empty() => {
            let index = index.index(model.len());
            rows.swap_remove(index);
            model.swap_remove(index);
        }
        Action::Drain(a, b) => {
            let (a, b) = (a.index(model.len() + 1), b.index(model.len() + 1));
            rows.drain(a.min(b), a.max(b));
            model.drain(a.min(b)..a.max(b));
        }
        Action::Truncate(len) => {
            let len = len.index(model.len() + 2);
            rows.truncate(len);
            model.truncate(len);
        }
        Action::Clear => {
            rows.clear();
            model.clear();
        }
        Action::Shrink => rows.shrink(),
        Action::PushCodes | Action::SwapRemove(_) => {}
    }
}

/// All rows are those of the model, and take the bytes that the format says.
fn check(rows: &PackedRows, model: &[Vec<f32>], gathered: Index) {
    let (format, head_dim) = (rows.format(), rows.head_dim());
    assert_eq!(rows.len(), model.len());
    assert_eq!(rows.is_empty(), model.is_empty());
    let bytes = rows.payload_bytes() + rows.metadata_bytes();
    assert_eq!(bytes, model.len() * format.row_bytes(head_dim), "{format}");
    assert!(rows.allocated_bytes() >= bytes);
    assert_eq!(
        rows.whole_tiles() * TILE_ROWS + rows.rest().len,
        model.len()
    );
    let mut decoded = vec![f32::NAN; model.len() * head_dim];
    rows.decode(&Reference, &mut decoded);
    for (index, (got, want)) in decoded.chunks(head_dim).zip(model).enumerate() {
        assert_eq!(got, want, "{format}, head_dim {head_dim}, row {index}");
    }
    if !model.is_empty() {
        let index = gathered.index(model.len());
        let mut one = vec![1.5];
        rows.gather(&Reference, index, &mut one);
        assert_eq!(&one[1..], model[index], "{format}: gathered row {index}");
        assert_eq!(one[0], 1.5);
    }
}

/// Scores or mixes of some rows are those of the model, whatever the range.
fn check_products(
    rows: &PackedRows,
    role: Role,
    model: &[Vec<f32>],
    ends: (Index, Index),
    random: &mut Random,
) {
    let (head_dim, step) = (rows.head_dim(), rows.granularity());
    let mut cuts: Vec<usize> = (0..model.len()).step_by(step).collect();
    cuts.push(model.len());
    let (a, b) = (*ends.0.get(&cuts), *ends.1.get(&cuts));
    let (start, end) = (a.min(b), a.max(b));
    let range = &model[start..end];
    let (n, stride) = (3, range.len() + 2);
    let close = |got: f32, terms: &mut dyn Iterator<Item = (f32, f32)>| {
        let (mut sum, mut size) = (0.0, 0.0);
        for (a, b) in terms {
            sum += f64::from(a) * f64::from(b);
            size += (f64::from(a) * f64::from(b)).abs();
        }
        let off = (f64::from(got) - sum).abs();
        assert!(off <= 3e-5 * size, "{}: {got} for {sum}", rows.format());
    };
    if start == model.len() && !start.is_multiple_of(step) {
        return; // an empty range that starts inside a tile is refused
    }
    match role {
        Role::Keys => {
            let q = random.values(n * head_dim);
            let mut out = vec![f32::NAN; n * stride];
            rows.scores(
                &Reference,
                start..end,
                Digits::NONE.all(&q),
                &mut out,
                stride,
            );
            for (i, q) in q.chunks(head_dim).enumerate() {
                for (t, key) in range.iter().enumerate() {
                    let terms = q.iter().copied().zip(key.iter().copied());
                    close(out[i * stride + t], &mut { terms });
                }
            }
        }
        Role::Values => {
            let p = random.values(n * stride);
            let before = random.values(n * head_dim);
            let mut acc = before.clone();
            rows.mix(&Reference, start..end, &p, stride, &mut acc);
            for (at, (got, before)) in acc.iter().zip(&before).enumerate() {
                let (i, j) = (at / head_dim, at % head_dim);
                let weights = p[i * stride..].iter().copied();
                let terms = weights.zip(range.iter().map(|row| row[j]));
                close(*got, &mut terms.chain([(1.0, *before)]));
            }
        }
    }
}

proptest! {
    #[test]
    fn rows_keep_their_codes_wherever_they_move(
        (format, head_dim) in formats(),
        role in roles(),
        actions in actions(),
        (gathered, start, end) in any::<(Index, Index, Index)>(),
        seed in any::<u64>(),
    ) {
        let mut random = Random(seed);
        let mut rows = PackedRows::new(format, role, head_dim);
        let mut model = Vec::new();
        for action in &actions {
            act(&mut rows, &mut model, action, &mut random);
            check(&rows, &model, gathered);
        }
        check_products(&rows, role, &model, (start, end), &mut random);
    }

    /// Blocks are quantised channel by channel: as rows of as many elements would be.
    #[test]
    fn blocks_are_stored_whole(
        bits in prop::sample::select(vec![Bits::B2, Bits::B3, Bits::B4, Bits::B8]),
        head_dim in prop::sample::select(vec![32usize, 64, 96, 128]),
        block in 1..8usize,
        (symmetric, book) in any::<(bool, bool)>(),
        role in roles(),
        pushes in prop::collection::vec(0..4usize, 1..5),
        (gathered, start, end) in any::<(Index, Index, Index)>(),
        seed in any::<u64>(),
    ) {
        let block = block * TILE_ROWS;
        let mut format = Format { symmetric, ..Format::per_channel(bits, block) };
        if book && bits.count() <= 4 {
            format = format.with_codebook(codebook(bits));
        }
        prop_assume!(format.check(head_dim).is_ok());
        let mut random = Random(seed);
        let mut rows = PackedRows::new(format, role, head_dim);
        let mut model: Vec<Vec<f32>> = Vec::new();
        prop_assert_eq!(rows.granularity(), block);
        for blocks in pushes {
            let x = random.values(blocks * block * head_dim);
            rows.push(&Reference, &x);
            for x in x.chunks(block * head_dim) {
                let column = |j: usize| -> Vec<f32> {
                    x.iter().skip(j).step_by(head_dim).copied().collect()
                };
                let along = Format { axis: Axis::Channels, group_size: 0, ..format };
                let columns: Vec<Vec<f32>> = (0..head_dim)
                    .map(|j| stored(along, block, &column(j)).remove(0))
                    .collect();
                model.extend((0..block).map(|t| columns.iter().map(|c| c[t]).collect()));
            }
            check(&rows, &model, gathered);
        }
        check_products(&rows, role, &model, (start, end), &mut random);

        // What would cut a block is refused, and nothing is moved.
        let len = rows.len();
        let mut refused = |what: &str, run: &dyn Fn(&mut PackedRows)| {
            let run = AssertUnwindSafe(|| run(&mut rows));
            assert!(catch_unwind(run).is_err(), "{what}");
        };
        if len > 0 {
            refused("swap_remove", &|rows| rows.swap_remove(0));
            refused("drain", &|rows| rows.drain(0, 1));
            refused("truncate", &|rows| rows.truncate(len - 1));
            refused("codes", &|rows| {
                rows.push_codes(&vec![0; head_dim], &vec![f16::ONE; head_dim], &[]);
            });
            let mut out = vec![0.0; len];
            let q = vec![1.0; head_dim];
            if block > TILE_ROWS && role == Role::Keys {
                let q = Digits::NONE.all(&q);
                let range = 0..TILE_ROWS;
                let run = AssertUnwindSafe(|| {
                    rows.scores(&Reference, range, q, &mut out, len);
                });
                prop_assert!(catch_unwind(run).is_err(), "part of a block");
            }
        }
        let part = AssertUnwindSafe(|| rows.push(&Reference, &vec![0.5; (block - 1) * head_dim]));
        prop_assert!(catch_unwind(part).is_err(), "a part of a block");
        rows.drain(len, len);
        check(&rows, &model, gathered);
    }
}

/// Shapes that do not fill tiles cannot hold blocks, which are stored in no other way.
#[test]
fn blocks_that_no_tile_holds_are_refused() {
    for (bits, head_dim, fits) in [
        (Bits::B3, 80, false),
        (Bits::B3, 96, true),
        (Bits::B4, 80, true),
        (Bits::B4, 40, false),
        (Bits::B4, 2048, false),
    ] {
        let format = Format::per_channel(bits, 16);
        assert_eq!(format.check(head_dim).is_ok(), fits, "{format}, {head_dim}");
    }
}

#[test]
fn codes_that_are_too_large_are_refused() {
    let mut rows = PackedRows::new(Format::symmetric(Bits::B3, 0), Role::Keys, 32);
    let run = AssertUnwindSafe(|| rows.push_codes(&[8; 32], &[f16::ONE], &[]));
    assert!(catch_unwind(run).is_err());
    assert!(rows.is_empty());
}
