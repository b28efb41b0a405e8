//! Detectors of unusual traffic. Knows numbers and time steps, no principal and no query.

mod bulk;
mod counts;
mod ensemble;
mod entropy;
mod extraction;
mod group;
mod incident;
mod level;
mod novelty;
mod numbers;
mod quality;
mod season;
mod tail;
mod week;
mod words;

pub mod nab;

pub use bulk::{Bulk, BulkReading, ORDINARY_ROWS};
pub use counts::{CountReading, ErrorRate, NewTemplates};
pub use ensemble::{Ensemble, PARTS, Reading};
pub use extraction::{Extraction, ExtractionReading, Peers, Reads};
pub use group::{Groups, Place};
pub use incident::{Change, Rule, Span, Watch};
pub use level::{Direction, Level, LevelReading};
pub use quality::{BUCKETS, Batch, Quality, QualityReading};
pub use words::{Fault, Finding, Metric, Severity};
