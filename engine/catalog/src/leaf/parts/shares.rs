//! Disjoint shares of a governed leaf's rows: the files and byte ranges of its scan, dealt out in their order. Everything
//! between scan and leaf, policy and masks included, is the same in each share.

use crate::gathering::GatheringExec;
use crate::leaf::exec::GovernedExec;
use datafusion::common::stats::Precision;
use datafusion::common::{JoinType, Result, Statistics, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use querygate_resources::MeteredExec;
use std::any::Any;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// How the rows of a plan can be dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// Tells these files in these versions, and this dealing, from any other.
    pub layout: u64,
    /// Rows that the scan reads, by the files' own word, hidden ones included.
    pub scanned: Option<u64>,
    /// Whether nothing between the files and the reader leaves any of them out.
    pub all: bool,
}

/// Where a node's rows come from, when it treats each of them by itself: then it gives the rows of a share of that input
/// exactly when it is given that share. `None`: it looks at several rows, or at how many there are.
fn rows_from(node: &dyn ExecutionPlan) -> Option<usize> {
    if node.fetch().is_some() {
        return None;
    }
    let any: &dyn Any = node;
    let single = any.is::<FilterExec>()
        || any.is::<ProjectionExec>()
        || any.is::<CooperativeExec>()
        || any.is::<MeteredExec>()
        || any.is::<GatheringExec>()
        || any.is::<CoalescePartitionsExec>()
        || any.is::<RepartitionExec>();
    if single {
        return Some(0);
    }
    // A policy's key set against the rows: each share meets the whole set.
    let join = any.downcast_ref::<HashJoinExec>()?;
    let keeps_rows = matches!(join.join_type(), JoinType::RightSemi | JoinType::RightMark);
    (keeps_rows && *join.partition_mode() == PartitionMode::CollectLeft).then_some(1)
}

/// Whether a node passes all rows on.
fn keeps_all(node: &dyn ExecutionPlan) -> bool {
    let any: &dyn Any = node;
    !any.is::<FilterExec>() && !any.is::<HashJoinExec>()
}

/// The leaf under nodes that treat rows one by one, and whether they pass all of them on.
pub(crate) fn leaf_of(plan: &Arc<dyn ExecutionPlan>) -> Option<(&Arc<dyn ExecutionPlan>, bool)> {
    let (mut node, mut all) = (plan, true);
    while !node.children().is_empty() {
        let input = rows_from(node.as_ref())?;
        all &= keeps_all(node.as_ref());
        node = *node.children().get(input)?;
    }
    Some((node, all))
}

/// These nodes over another leaf.
pub(crate) fn over_leaf(plan: &Arc<dyn ExecutionPlan>, leaf: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let children = plan.children();
    if children.is_empty() {
        return Ok(leaf);
    }
    let Some(input) = rows_from(plan.as_ref()) else { return internal_err!("a plan was divided that has no shares") };
    let mut inputs: Vec<Arc<dyn ExecutionPlan>> = children.into_iter().map(Arc::clone).collect();
    let Some(rows) = inputs.get_mut(input) else { return internal_err!("a node lost its input") };
    *rows = over_leaf(rows, leaf)?;
    Arc::clone(plan).replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

fn file_scan(leaf: &dyn ExecutionPlan) -> Option<&FileScanConfig> {
    let any: &dyn Any = leaf;
    let scan: &FileScanConfig = any.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref()?;
    (scan.limit.is_none() && !scan.preserve_order).then_some(scan)
}

impl GovernedExec {
    /// How the leaf's rows can be dealt out into a number of shares. `None`: its source is not read by ranges of files.
    fn division(&self, of: usize) -> Option<Division> {
        let (leaf, all) = leaf_of(self.inner()).filter(|_| self.fetch().is_none())?;
        let scan = file_scan(leaf.as_ref())?;
        let all = all && scan.file_source.filter().is_none();
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        for file in pieces(scan) {
            let meta = &file.object_meta;
            (meta.location.as_ref(), meta.size, meta.last_modified, &meta.e_tag, &meta.version).hash(&mut hasher);
            file.range.as_ref().map(|range| (range.start, range.end)).hash(&mut hasher);
        }
        Some(Division { layout: hasher.finish(), scanned: exact_rows(scan), all })
    }

    /// The leaf with the rows of one share.
    fn share(&self, share: usize, of: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let found = leaf_of(self.inner()).and_then(|(leaf, _)| file_scan(leaf.as_ref()));
        let Some(scan) = found else { return internal_err!("a leaf was divided that has no shares") };
        let group = dealt(scan, share, of);
        let config = FileScanConfigBuilder::from(scan.clone())
            // One group, so that nothing is read in another share's place: sibling groups take work from each other.
            .with_file_groups(vec![group])
            .with_output_partitioning(None)
            .with_statistics(Statistics::new_unknown(scan.file_source.table_schema().table_schema()))
            .build();
        // What a share reads says nothing of the whole.
        let leaf = self.with_inner(over_leaf(self.inner(), DataSourceExec::from_data_source(config))?);
        Ok(Arc::new(leaf.reading(None)))
    }
}

/// The governed leaf of a plan whose every other node treats rows one by one.
pub(crate) fn governed_leaf(plan: &Arc<dyn ExecutionPlan>) -> Option<(&GovernedExec, bool)> {
    let (leaf, all) = leaf_of(plan)?;
    let any: &dyn Any = leaf.as_ref();
    any.downcast_ref::<GovernedExec>().map(|leaf| (leaf, all))
}

/// How the rows of a physical plan can be dealt out into a number of shares, each row into exactly one. `None`: they cannot.
#[must_use]
pub fn division(plan: &Arc<dyn ExecutionPlan>, of: usize) -> Option<Division> {
    let (leaf, all) = governed_leaf(plan)?;
    let division = leaf.division(of)?;
    Some(Division { all: all && division.all, ..division })
}

/// The plan for one share of its rows.
///
/// # Errors
/// Internal: the plan has no shares.
pub fn share(plan: &Arc<dyn ExecutionPlan>, share: usize, of: usize) -> Result<Arc<dyn ExecutionPlan>> {
    match governed_leaf(plan) {
        Some((leaf, _)) => over_leaf(plan, leaf.share(share, of)?),
        None => internal_err!("a plan was divided that has no shares"),
    }
}

/// The files of a scan in their order, some of them in several ranges.
fn pieces(scan: &FileScanConfig) -> impl Iterator<Item = &PartitionedFile> {
    scan.file_groups.iter().flat_map(FileGroup::files)
}

/// Rows of all files by their footers; `None`: one of them does not tell.
fn exact_rows(scan: &FileScanConfig) -> Option<u64> {
    let mut rows = BTreeMap::new();
    for file in pieces(scan) {
        let Precision::Exact(count) = file.statistics.as_ref()?.num_rows else { return None };
        // The statistics of a range are those of its file.
        rows.insert(file.object_meta.location.as_ref(), u64::try_from(count).ok()?);
    }
    Some(rows.values().sum())
}

/// Bytes of a file that a piece covers.
fn range_of(file: &PartitionedFile) -> (i64, i64) {
    match &file.range {
        Some(range) => (range.start, range.end),
        None => (0, i64::try_from(file.object_meta.size).unwrap_or(i64::MAX)),
    }
}

/// Deals the bytes of all pieces out evenly. A Parquet file is cut anywhere: a row group belongs to the range in which its
/// first page begins. A file of another format goes as a whole to the share in which it begins.
fn dealt(scan: &FileScanConfig, share: usize, of: usize) -> FileGroup {
    debug_assert!(share < of, "share {share} of {of}");
    let cut = scan.file_source.file_type() == "parquet";
    let length = |file: &PartitionedFile| {
        let (start, end) = range_of(file);
        i128::from(end.saturating_sub(start).max(0))
    };
    let total: i128 = pieces(scan).map(length).sum();
    let bound = |share: usize| total * share as i128 / of.max(1) as i128;
    let (low, high) = (bound(share), bound(share + 1));
    let mut at = 0_i128;
    let mut taken = Vec::new();
    for file in pieces(scan) {
        let (begin, end) = (at, at + length(file));
        at = end;
        let (from, to) = (low.max(begin), high.min(end));
        if (from <= begin && to >= end && begin < end) || (!cut && begin >= low && begin < high) {
            taken.push(file.clone());
        } else if cut && from < to {
            let (start, _) = range_of(file);
            let place = |at: i128| start.saturating_add(i64::try_from(at - begin).unwrap_or(i64::MAX));
            taken.push(file.clone().with_range(place(from), place(to)));
        }
    }
    debug_assert_eq!(at, total, "each byte was looked at for one share");
    FileGroup::new(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::physical_plan::{CsvSource, FileSource, ParquetSource};
    use datafusion::execution::object_store::ObjectStoreUrl;

    fn scan(parquet: bool, sizes: &[u64], groups: usize) -> FileScanConfig {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let source: Arc<dyn FileSource> =
            if parquet { Arc::new(ParquetSource::new(schema)) } else { Arc::new(CsvSource::new(schema)) };
        let files = sizes.iter().enumerate().map(|(n, size)| PartitionedFile::new(format!("f{n}"), *size)).collect();
        FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file_groups(FileGroup::new(files).split_files(groups))
            .build()
    }

    /// Bytes of each file that all shares cover, in order.
    fn covered(scan: &FileScanConfig, of: usize) -> Vec<(String, i64, i64)> {
        let all = (0..of).map(|share| dealt(scan, share, of));
        all.flat_map(|group| {
            group
                .files()
                .iter()
                .map(|file| {
                    let (start, end) = range_of(file);
                    (file.object_meta.location.to_string(), start, end)
                })
                .collect::<Vec<_>>()
        })
        .collect()
    }

    #[test]
    fn shares_cover_every_byte_of_a_parquet_file_once() {
        for sizes in [vec![1_000], vec![7, 11, 13], vec![1], vec![5, 1_000_000, 5], vec![3; 40]] {
            for of in [1, 2, 3, 7, 64] {
                for groups in [1, 2, 5] {
                    let scan = scan(true, &sizes, groups);
                    let mut places: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
                    for (file, start, end) in covered(&scan, of) {
                        assert!(start < end, "{sizes:?} {of}");
                        places.entry(file).or_default().push((start, end));
                    }
                    for (n, size) in sizes.iter().enumerate() {
                        let mut ranges = places.remove(&format!("f{n}")).unwrap();
                        ranges.sort_unstable();
                        assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, i64::try_from(*size).unwrap()));
                        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{sizes:?} {of}: {ranges:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_text_file_is_in_one_share_as_a_whole() {
        for of in [1, 2, 3, 9] {
            let scan = scan(false, &[10, 1_000, 20, 5], 2);
            let mut found = covered(&scan, of);
            found.sort();
            let whole = [("f0", 10), ("f1", 1_000), ("f2", 20), ("f3", 5)].map(|(f, end)| (f.to_owned(), 0, end));
            assert_eq!(found, whole, "{of}");
        }
    }
}
