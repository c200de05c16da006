//! What was aimed for, and the ratios that say whether it was reached.

use super::BenchArgs;
use super::memory::Peak;
use super::others::IDLE_PROCESSORS;
use super::rounds::{EIGHT, FOUR, FULL, MIXED, PAIRS, Pair, Rounds};
use super::run::Run;
use super::spread::Spread;
use serde_json::{Value, json};

const RATIO: &str = "×";

/// The side of a number that is good.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) what: String,
    pub(super) goal: Goal,
    /// Unit of goal and values; `×` for ratios.
    pub(super) unit: &'static str,
    /// `None` where it was not measured.
    pub(super) reached: Option<Spread>,
    /// Whether others were at work during the median turn that it is made from.
    pub(super) busy: bool,
}

impl Target {
    pub(super) fn goal(&self) -> String {
        match self.goal {
            Goal::AtLeast(least) => format!("≥ {least} {}", self.unit),
            Goal::AtMost(most) => format!("≤ {most} {}", self.unit),
        }
    }

    /// By the median, and whether every round agrees with it.
    pub(super) fn verdict(&self) -> &'static str {
        let Some(spread) = &self.reached else {
            return "not measured";
        };
        if self.busy {
            // Programs that spin while they wait lose far more to other work than those that sleep.
            return "not proven: busy machine";
        }
        if self.unit == RATIO && spread.values().iter().any(|ratio| *ratio <= 0.0) {
            // A difference of two times came out below nothing.
            return "lost in noise";
        }
        let met = |value: f64| match self.goal {
            Goal::AtLeast(least) => value >= least,
            Goal::AtMost(most) => value <= most,
        };
        let agree = spread
            .values()
            .iter()
            .all(|value| met(*value) == met(spread.median()));
        match (met(spread.median()), agree) {
            (true, true) => "met",
            (true, false) => "met by the median",
            (false, true) => "missed",
            (false, false) => "missed by the median",
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "what": self.what,
            "target": self.goal(),
            "reached": self.reached.as_ref().map(Spread::json),
            "verdict": self.verdict(),
        })
    }
}

/// A number of one turn.
pub(super) type Pick<'a> = &'a dyn Fn(&Run) -> Option<f64>;

impl Rounds {
    /// Processors busy with other work, pair by pair.
    pub(super) fn others(&self) -> Option<Spread> {
        Spread::of(self.pairs.iter().filter_map(|pair| pair.others).collect())
    }

    /// Whether others were at work during the median of the turns that a number of `part` is made
    /// from; compared with `cache`, the rival's turns with it count too.
    fn busy(&self, part: &str, cache: Option<&str>) -> bool {
        let made_from = |pair: &&Pair| {
            let own = pair.ours.iter().any(|(name, _)| *name == part);
            own || cache == Some(PAIRS[pair.index].0)
        };
        let pairs = self.pairs.iter().filter(made_from);
        Spread::of(pairs.filter_map(|pair| pair.others).collect())
            .is_some_and(|others| others.median() > IDLE_PROCESSORS)
    }

    /// Turns during which others were at work, and how many processors that took.
    pub(super) fn disturbed(&self) -> impl Iterator<Item = (&Pair, f64)> {
        let others = |pair: &Pair| pair.others.filter(|others| *others > IDLE_PROCESSORS);
        let pairs = self.pairs.iter();
        pairs.filter_map(move |pair| Some((pair, others(pair)?)))
    }

    /// Ours divided by the rival's, in every round of the pair whose rival cache is `cache`.
    pub(super) fn ratio(&self, part: &str, cache: &str, pick: Pick<'_>) -> Option<Spread> {
        // The 4-bit strategy may meet another cache: rounds are the same, pairs are not.
        let rivals = self.of(cache).map(|pair| (pair.round, pair.rival.as_ref()));
        let ratio = |(round, rival): (usize, Option<&Run>)| {
            let ours = self.ours(part).find(|(of, _)| *of == round)?.1;
            Some(pick(ours)? / pick(rival?)?)
        };
        Spread::of(rivals.filter_map(ratio).collect())
    }

    /// The rival's numbers with one format of cache.
    pub(super) fn rival(&self, cache: &str, pick: Pick<'_>) -> Option<Spread> {
        Spread::of(
            self.of(cache)
                .filter_map(|pair| pick(pair.rival.as_ref()?))
                .collect(),
        )
    }

    /// The numbers of the strategy that plays a part.
    pub(super) fn own(&self, part: &str, pick: Pick<'_>) -> Option<Spread> {
        Spread::of(self.ours(part).filter_map(|(_, run)| pick(run)).collect())
    }

    fn of<'a>(&'a self, cache: &'a str) -> impl Iterator<Item = &'a Pair> {
        let pairs = self.pairs.iter();
        pairs.filter(move |pair| PAIRS[pair.index].0 == cache)
    }

    fn ours<'a>(&'a self, part: &'a str) -> impl Iterator<Item = (usize, &'a Run)> {
        let runs = |pair: &'a Pair| {
            pair.ours
                .iter()
                .map(move |(name, run)| (pair.round, *name, run))
        };
        let all = self.pairs.iter().flat_map(runs);
        all.filter(move |(_, name, _)| *name == part)
            .map(|(round, _, run)| (round, run))
    }

    /// The rival's 4-bit cache, or its 8-bit one where that did not finish every round.
    fn four_bit_rival(&self) -> &'static str {
        let finished = self.of("q4_0").all(|pair| pair.rival.is_some());
        if finished { "q4_0" } else { "q8_0" }
    }

    /// Time of a mixed token divided by a 4-bit one of the same round.
    fn mixed(&self, context: usize) -> Option<Spread> {
        let ratio = |(round, mixed): (usize, &Run)| {
            let uniform = self.ours(FOUR).find(|(of, _)| *of == round)?.1;
            Some(mixed.token_ms(context)? / uniform.token_ms(context)?)
        };
        Spread::of(self.ours(MIXED).filter_map(ratio).collect())
    }
}

/// The targets, with what was reached.
pub(super) fn targets(args: &BenchArgs, rounds: &Rounds, memory: &[Peak]) -> Vec<Target> {
    let first = args.contexts.first().copied().unwrap_or(0);
    let (prompt, deepest, four) = (args.prefill_tokens, args.deepest(), rounds.four_bit_rival());
    let target = |what: String, goal: Goal, reached: Option<Spread>, busy: bool| Target {
        what,
        goal,
        unit: RATIO,
        reached,
        busy,
    };
    let ratio = |what: String, goal: Goal, part: &str, cache: &str, pick: Pick<'_>| {
        let busy = rounds.busy(part, Some(cache));
        target(what, goal, rounds.ratio(part, cache, pick), busy)
    };
    let attention = |part: &str, most: f64| {
        target(
            format!(
                "attention that {} adds from {first} to {deepest} tokens, against reading its bytes",
                rounds.strategy(part)
            ),
            Goal::AtMost(most),
            rounds.own(part, &|run| run.times_of_reading(first, deepest)),
            rounds.busy(part, None),
        )
    };
    let mut all = vec![
        ratio(
            format!("prefill of {prompt} tokens, f16 cache"),
            Goal::AtLeast(1.4),
            FULL,
            "f16",
            &|run| run.prefill(prompt),
        ),
        ratio(
            format!("decode at {first}, f16 cache"),
            Goal::AtLeast(1.1),
            FULL,
            "f16",
            &|run| run.decode(first),
        ),
        ratio(
            format!("decode at {deepest}, {} to q8_0", rounds.strategy(EIGHT)),
            Goal::AtLeast(3.5),
            EIGHT,
            "q8_0",
            &|run| run.decode(deepest),
        ),
        ratio(
            format!("decode at {deepest}, {} to {four}", rounds.strategy(FOUR)),
            Goal::AtLeast(4.0),
            FOUR,
            four,
            &|run| run.decode(deepest),
        ),
        ratio(
            format!(
                "cost of 1k tokens of context more, {} to {four}",
                rounds.strategy(FOUR)
            ),
            Goal::AtMost(0.15),
            FOUR,
            four,
            &|run| run.ms_a_1k_tokens(first, deepest),
        ),
        attention(EIGHT, 1.5),
        attention(FOUR, 2.0),
        target(
            format!(
                "time of a token at {deepest}, {} to {}",
                rounds.strategy(MIXED),
                rounds.strategy(FOUR)
            ),
            Goal::AtMost(1.1),
            rounds.mixed(deepest),
            rounds.busy(MIXED, None),
        ),
    ];
    for peak in memory {
        all.push(Target {
            what: format!(
                "peak memory at {} tokens, {}, {} prefill, beyond weights and live cache",
                peak.context, peak.strategy, peak.prefill
            ),
            goal: Goal::AtMost(200.0),
            unit: "MB",
            reached: Spread::of(peak.beyond_mb().into_iter().collect()),
            // Bytes do not depend on who else is at work.
            busy: false,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(token_s: f64) -> Run {
        let stop = json!({ "context": 8, "prefill_s": 1.0, "decode_s": [token_s] });
        Run::parse(json!({ "stops": [stop] })).unwrap()
    }

    fn rounds(q4_0: Option<f64>) -> Rounds {
        let pair = |round, index, rival: Option<f64>, ours: &[(&'static str, f64)]| Pair {
            round,
            index,
            others: None,
            rival: rival.map(run),
            ours: ours
                .iter()
                .map(|(part, time)| (*part, run(*time)))
                .collect(),
        };
        Rounds {
            pairs: vec![
                pair(0, 1, Some(0.4), &[(EIGHT, 0.2)]),
                pair(0, 2, Some(0.3), &[(FOUR, 0.1), (MIXED, 0.11)]),
                pair(1, 2, q4_0, &[(FOUR, 0.2), (MIXED, 0.3)]),
                pair(1, 1, Some(0.8), &[(EIGHT, 0.2)]),
            ],
            strategies: Vec::new(),
            environment: Value::Null,
        }
    }

    #[test]
    fn ratios_stay_within_their_round() {
        let rounds = rounds(Some(0.6));
        let decode: Pick<'_> = &|run| run.decode(8);
        let text = |spread: Option<Spread>| format!("{:.2}", spread.unwrap());
        assert_eq!(
            text(rounds.ratio(EIGHT, "q8_0", decode)),
            "3.00 [2.00, 4.00]"
        );
        assert_eq!(
            text(rounds.ratio(FOUR, "q4_0", decode)),
            "3.00 [3.00, 3.00]"
        );
        assert_eq!(text(rounds.mixed(8)), "1.30 [1.10, 1.50]");
        assert_eq!(rounds.four_bit_rival(), "q4_0");
    }

    #[test]
    fn a_disturbed_turn_spoils_only_what_is_made_from_it() {
        let mut rounds = rounds(Some(0.6));
        let names = |rounds: &Rounds| -> Vec<(usize, &str)> {
            let disturbed = rounds.disturbed();
            disturbed
                .map(|(pair, _)| (pair.round, PAIRS[pair.index].0))
                .collect()
        };
        assert!(names(&rounds).is_empty());
        for (pair, others) in rounds.pairs.iter_mut().zip([0.0, 0.02, 0.15, 0.3]) {
            pair.others = Some(others);
        }
        // The median of 0.02 and 0.15 is idle, that of 0 and 0.3 is not.
        assert!(!rounds.busy(FOUR, Some("q4_0")));
        assert!(!rounds.busy(MIXED, None));
        assert!(rounds.busy(EIGHT, Some("q8_0")));
        assert!(!rounds.busy(FULL, None));
        // All four: 0.02 and 0.15 lie in the middle.
        assert!(!rounds.busy(FOUR, Some("q8_0")));
        assert_eq!(names(&rounds), [(1, "q4_0"), (1, "q8_0")]);
    }

    #[test]
    fn a_rival_that_did_not_finish_is_replaced() {
        let rounds = rounds(None);
        assert_eq!(rounds.four_bit_rival(), "q8_0");
        let spread = rounds.ratio(FOUR, "q8_0", &|run| run.decode(8)).unwrap();
        assert_eq!(format!("{spread:.0}"), "4 [4, 4]");
    }

    #[test]
    fn the_median_decides() {
        let target = |goal, values: Vec<f64>| Target {
            what: String::new(),
            goal,
            unit: RATIO,
            reached: Spread::of(values),
            busy: false,
        };
        assert_eq!(
            target(Goal::AtLeast(2.0), vec![1.0, 2.0, 3.0]).verdict(),
            "met by the median"
        );
        assert_eq!(target(Goal::AtLeast(2.0), vec![2.0, 3.0]).verdict(), "met");
        assert_eq!(
            target(Goal::AtMost(2.0), vec![-1.0, 1.0]).verdict(),
            "lost in noise"
        );
        assert_eq!(
            target(Goal::AtMost(1.9), vec![1.0, 2.0, 3.0]).verdict(),
            "missed by the median"
        );
        assert_eq!(target(Goal::AtMost(1.0), vec![]).verdict(), "not measured");
    }
}
