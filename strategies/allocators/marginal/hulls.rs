//! Which upgrades of a row are worth their bytes: lower convex hulls of (bytes, damage).

use smartkv_core::{Offer, Problem};

/// A step up along a hull.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    /// The better offer.
    pub(super) to: u8,
    /// What it costs more.
    pub(super) bytes: u32,
    /// Damage saved per byte and unit of key damage.
    key: f32,
    /// Damage saved per byte and unit of value damage.
    value: f32,
}

impl Edge {
    /// The step between two offers of a menu.
    fn new(menu: &[Offer], from: usize, to: usize) -> Self {
        let bytes = menu[to].bytes - menu[from].bytes;
        let saved = |worse: f32, better: f32| {
            #[expect(clippy::cast_possible_truncation, reason = "losses are f32")]
            let saved = ((f64::from(worse) - f64::from(better)) / f64::from(bytes)) as f32;
            saved
        };
        Self {
            #[expect(clippy::cast_possible_truncation, reason = "at most 255 tiers")]
            to: to as u8,
            bytes,
            key: saved(menu[from].key_loss, menu[to].key_loss),
            value: saved(menu[from].value_loss, menu[to].value_loss),
        }
    }
}

/// The lower convex hulls of a menu, for every best offer a row may have and every share of key
/// damage in its damage.
pub(super) struct Hulls {
    of: Vec<HullsOf>,
}

/// The hulls of one best offer.
struct HullsOf {
    /// In order of the share up to which they hold: that share, and the end of the edges.
    hulls: Vec<(f32, usize)>,
    edges: Vec<Edge>,
    /// The first hull for each part of the range of shares.
    first: [u16; GUIDES],
    /// Steps to the best offer: those that end some hull, or, where one ends elsewhere, those from
    /// every cheaper offer. The one that returns least is a row's last upgrade.
    last: Vec<Edge>,
}

/// Equal parts of the range of shares with a known first hull.
const GUIDES: usize = 64;

impl Hulls {
    pub(super) fn new(menu: &[Offer]) -> Self {
        let shares = shares(menu);
        let of = (0..menu.len()).map(|best| HullsOf::new(menu, best, &shares)).collect();
        Self { of }
    }

    /// Upgrades of a row from its cheapest offer, with the damage each saves per byte: more than
    /// nothing, and falling.
    #[inline]
    pub(super) fn upgrades(
        &self,
        problem: &Problem<'_>,
        row: usize,
    ) -> impl Iterator<Item = (&Edge, f32)> {
        let (key, value) = (problem.key_damage[row], problem.value_damage[row]);
        let hulls = &self.of[usize::from(problem.best[row])];
        let mut least = f32::INFINITY;
        hulls.at(key, value).iter().map_while(move |edge| {
            // Rounding at a boundary of hulls must not make returns rise.
            least = least.min(key * edge.key + value * edge.value);
            (least > 0.0).then_some((edge, least))
        })
    }

    /// What the last upgrades of rows with this best offer save per byte: nothing or less where
    /// that offer is no use. It must not be the cheapest one.
    pub(super) fn last_gains(&self, best: u8, key: &[f32], value: &[f32], gains: &mut [f32]) {
        gains.fill(f32::MAX);
        for edge in &self.of[usize::from(best)].last {
            for ((gain, key), value) in gains.iter_mut().zip(key).zip(value) {
                let other = key * edge.key + value * edge.value;
                *gain = if other < *gain { other } else { *gain };
            }
        }
    }
}

impl HullsOf {
    fn new(menu: &[Offer], best: usize, shares: &[f64]) -> Self {
        let mut hulls: Vec<(f32, usize)> = Vec::new();
        let mut edges: Vec<Edge> = Vec::new();
        let (mut last, mut start) = (Vec::new(), 0);
        let mut reached = true;
        for pair in shares.windows(2) {
            let hull = hull(menu, best, f64::midpoint(pair[0], pair[1]));
            #[expect(clippy::cast_possible_truncation, reason = "a share")]
            let upto = pair[1] as f32;
            if let Some((end, _)) = hulls.last_mut().filter(|_| edges[start..] == hull[..]) {
                *end = upto;
            } else {
                match hull.last() {
                    Some(edge) if usize::from(edge.to) == best => {
                        if !last.contains(edge) {
                            last.push(*edge);
                        }
                    }
                    _ => reached = false,
                }
                start = edges.len();
                edges.extend(hull);
                hulls.push((upto, edges.len()));
            }
        }
        if !reached {
            last = (best + 1..menu.len()).map(|from| Edge::new(menu, from, best)).collect();
        }
        let first = std::array::from_fn(|guide| {
            #[expect(clippy::cast_precision_loss, reason = "at most 64")]
            let share = guide as f32 / GUIDES as f32;
            u16::try_from(hulls.iter().take_while(|(upto, _)| *upto < share).count())
                .unwrap_or(u16::MAX)
        });
        Self { hulls, edges, first, last }
    }

    /// The hull of a row with these damages.
    #[inline]
    fn at(&self, key: f32, value: f32) -> &[Edge] {
        // NaN, of a row that nothing damages, becomes 0.
        let share = key / (key + value);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of 64"
        )]
        let guide = ((share * GUIDES as f32) as usize).min(GUIDES - 1);
        let mut at = usize::from(self.first[guide]);
        while at + 1 < self.hulls.len() && share > self.hulls[at].0 {
            at += 1;
        }
        let start = if at == 0 { 0 } else { self.hulls[at - 1].1 };
        &self.edges[start..self.hulls[at].1]
    }
}

/// Offers above which hulls are looked up at evenly spread shares only, not at every share where
/// one may change: there are as many of those as triples of offers.
const MANY_OFFERS: usize = 16;

/// Shares of key damage between which no hull of the menu changes, from 0 to 1.
fn shares(menu: &[Offer]) -> Vec<f64> {
    let mut shares = vec![0.0, 1.0];
    if menu.len() > MANY_OFFERS {
        shares.extend((1..1000).map(|share| f64::from(share) / 1000.0));
    } else {
        for (a, first) in menu.iter().enumerate() {
            for (b, second) in menu.iter().enumerate().skip(a + 1) {
                for third in &menu[b + 1..] {
                    // Where the three points lie on a line: linear in the share.
                    let bend = |loss: fn(&Offer) -> f32| {
                        let [l, m, r] = [first, second, third].map(|o| f64::from(loss(o)));
                        let [x, y, z] = [first, second, third].map(|o| f64::from(o.bytes));
                        (m - r) * (x - y) - (l - m) * (y - z)
                    };
                    let (keys, values) = (bend(|o| o.key_loss), bend(|o| o.value_loss));
                    let share = values / (values - keys);
                    if share > 0.0 && share < 1.0 {
                        shares.push(share);
                    }
                }
            }
        }
    }
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    shares
}

/// The lower convex hull of the offers from `best` on for a row with this share of key damage,
/// from the cheapest up.
fn hull(menu: &[Offer], best: usize, share: f64) -> Vec<Edge> {
    let damage =
        |o: &Offer| share * f64::from(o.key_loss) + (1.0 - share) * f64::from(o.value_loss);
    let mut edges = Vec::new();
    let mut at = menu.len() - 1;
    while at > best {
        let mut next: Option<(usize, f64)> = None;
        for offer in (best..at).rev() {
            let bytes = f64::from(menu[offer].bytes - menu[at].bytes);
            let gain = (damage(&menu[at]) - damage(&menu[offer])) / bytes;
            // At equal returns the larger step: it is the same hull edge.
            if gain > 0.0 && next.is_none_or(|(_, g)| gain >= g) {
                next = Some((offer, gain));
            }
        }
        let Some((offer, _)) = next else { break };
        edges.push(Edge::new(menu, at, offer));
        at = offer;
    }
    edges
}
