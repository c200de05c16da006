//! Every strategy of this crate keeps the contract of smartkv.

use my_strategy as _;

#[test]
fn every_registered_strategy_keeps_the_contract() {
    smartkv_core::contract::all_registered();
}
