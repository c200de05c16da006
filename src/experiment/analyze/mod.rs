//! What a model attends to, what a cache holds and costs, and where a strategy loses.

mod attention;
mod errors;
mod latency;
mod memory;
mod passage;

pub use attention::{
    AttentionAnalysis, AttentionRecord, Contrast, GroupRow, PrecisionRecord, RankedBy, Sensitivity,
    SensitivitySettings, TokenText, TopToken, analyze_attention,
};
pub use errors::{
    ErrorAnalysis, ErrorsRead, ErrorsRecord, FileRecord, Needed, RerunWindow, SampleGroup,
    TokenGroup, WindowGroup, WorstSample, WorstToken, WorstWindow, read_errors,
};
pub use latency::{
    Histogram, Kind, LatencyAnalysis, LatencyRecord, Milliseconds, Overhead, Role, Round, Spread,
    Variant, VariantRecord, analyze_latency, variants,
};
pub use memory::{
    BitsRecord, MemoryAnalysis, MemoryRecord, Parts, PlaceRecord, Point, analyze_memory,
};
pub use passage::{Passage, TextRecord};
