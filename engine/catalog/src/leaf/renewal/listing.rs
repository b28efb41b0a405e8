//! What a kept leaf holds of the listing of its files, in bytes. What was read of the files is their table's, whose scans share it.

use crate::leaf::exec::{GovernedExec, bottom_of};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use std::any::Any;
use std::sync::Arc;

impl GovernedExec {
    /// Bytes of the list of files and their parts that the leaf's scan has for itself; 0: it reads none.
    #[must_use]
    pub fn listing_bytes(&self) -> usize {
        bytes_of_files(&bottom_of(self.inner()))
    }
}

fn bytes_of_files(scan: &Arc<dyn ExecutionPlan>) -> usize {
    let any: &dyn Any = scan.as_ref();
    let Some(source) = any.downcast_ref::<DataSourceExec>() else { return 0 };
    let Some(scan) = source.data_source().downcast_ref::<FileScanConfig>() else { return 0 };
    scan.file_groups.iter().flat_map(FileGroup::files).map(file_bytes).fold(0, usize::saturating_add)
}

/// A file with its names and the values of its folders.
fn file_bytes(file: &PartitionedFile) -> usize {
    let meta = &file.object_meta;
    let location: &str = meta.location.as_ref();
    let texts = [Some(location), meta.e_tag.as_deref(), meta.version.as_deref()];
    let texts: usize = texts.into_iter().flatten().map(str::len).sum();
    let values: usize = file.partition_values.iter().map(ScalarValue::size).sum();
    size_of::<PartitionedFile>().saturating_add(texts).saturating_add(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
    use datafusion::execution::object_store::ObjectStoreUrl;
    use datafusion::physical_plan::empty::EmptyExec;

    #[test]
    fn files_weigh_by_their_number_and_their_names() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let weight = |files: usize, name: &str| {
            let file = |number| PartitionedFile::new(format!("{name}{number:04}"), 10);
            let config = FileScanConfigBuilder::new(
                ObjectStoreUrl::local_filesystem(),
                Arc::new(ParquetSource::new(Arc::clone(&schema))),
            )
            .with_file_groups(FileGroup::new((0..files).map(file).collect()).split_files(3))
            .build();
            bytes_of_files(&(DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>))
        };
        let one = weight(1, "f");
        assert!(one > size_of::<PartitionedFile>());
        assert_eq!(weight(1_000, "f"), 1_000 * one);
        assert_eq!(weight(1_000, &"f".repeat(101)), 1_000 * (one + 100));
        assert_eq!(bytes_of_files(&(Arc::new(EmptyExec::new(schema)) as Arc<dyn ExecutionPlan>)), 0);
    }
}
