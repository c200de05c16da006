//! From records to statistics, tables and figures. Knows records and no model.

pub mod figure;
pub mod pareto;
