//! A plan that lists its moves does what the same plan in places does, or is refused.

use super::{Scatter, cache};
use crate::contract::Inputs;
use crate::{CacheShape, Layout, Move, Place, Plan, PlanCx, Result, Strategy, config, strategy};

/// Lists the moves of `test-scatter`.
#[config]
struct Listed {
    /// What it scatters by.
    scatter: u64,
    /// What is wrong with the list, if anything.
    fault: Fault,
}

/// What may be wrong with a list of moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
enum Fault {
    #[default]
    None,
    /// Not in ascending order.
    Order,
    /// A row that is not there.
    Beyond,
    /// A row that must leave the window stays.
    Missing,
}

impl Listed {
    fn scatter(&self) -> Scatter {
        Scatter {
            seed: self.scatter,
            evict: true,
            ..Scatter::default()
        }
    }
}

#[strategy("test-listed", family = "test")]
impl Strategy for Listed {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        self.scatter().layout(shape)
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        let Plan::Assign(places) = self.scatter().plan(cx)? else {
            unreachable!("it assigns places");
        };
        let rows = cx.rows();
        let moved =
            |(row, to): (u32, Place)| (to != rows.place[row as usize]).then_some(Move { row, to });
        let mut moves: Vec<Move> = (0u32..).zip(places).filter_map(moved).collect();
        match self.fault {
            Fault::None => {}
            Fault::Order => moves.swap(0, 1),
            Fault::Beyond => moves.push(Move {
                row: rows.len() as u32,
                to: Place::Evicted,
            }),
            Fault::Missing => moves.retain(|m| m.row > 0),
        }
        Ok(Plan::Move(moves))
    }
}

#[test]
fn listed_moves_are_the_places_that_differ() {
    for scatter in 1..4 {
        let listed = Listed {
            scatter,
            ..Listed::default()
        };
        let (mut placed, mut listed) = (cache(listed.scatter(), None), cache(listed, None));
        let inputs = Inputs::new(placed.shape, 60, 3);
        for token in 0..60 {
            let [expected, out] =
                [&mut placed, &mut listed].map(|cache| inputs.step(cache, token, 1, false));
            assert!(expected == out, "token {token}");
            assert_eq!(placed.census(), listed.census());
        }
    }
}

#[test]
fn faulty_lists_are_refused() {
    let faults = [
        (Fault::Order, "moves row 0 after row 1"),
        (Fault::Beyond, "moves row "),
        (Fault::Missing, "leaves 1 rows in the window"),
    ];
    for (fault, message) in faults {
        let mut cache = cache(Listed { scatter: 1, fault }, None);
        let inputs = Inputs::new(cache.shape, 40, 3);
        let error = inputs.try_step(&mut cache, 0, 40, false).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}
