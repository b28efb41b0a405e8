//! Detectors of unusual traffic. Knows numbers and time steps, no principal and no query.

mod bulk;
mod counts;
mod extraction;
mod group;
mod incident;
mod level;
mod moments;
mod numbers;
mod quality;
mod tail;
mod week;
mod words;

pub use bulk::{Bulk, BulkReading, ORDINARY_ROWS};
pub use counts::{CountReading, ErrorRate, NewTemplates};
pub use extraction::{Extraction, ExtractionReading, Peers, Reads};
pub use group::{Groups, Place};
pub use incident::{Change, Rule, Span, Watch};
pub use level::{Direction, Level, LevelReading};
pub use moments::Moments;
pub use quality::{BUCKETS, Batch, Quality, QualityReading};
pub use tail::Tail;
pub use words::{Fault, Finding, Metric, Refusal, Severity};
