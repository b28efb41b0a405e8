//! What a table over Parquet files tells of how its rows lie, for advice on laying them out otherwise. Tells no value: only places
//! in the order of values.

use futures::future::BoxFuture;
use querygate_types::Result;

/// Place of a value among those that a study met; equal values have equal places.
pub type Place = u32;

/// A table over Parquet files, as its footers and a sample of its rows tell.
#[derive(Debug, Clone, PartialEq)]
pub struct FileLayout {
    /// A file, a folder or a glob, as the table is declared.
    pub pattern: String,
    /// Tells these files in these versions from any others.
    pub version: u64,
    /// Number of files.
    pub files: usize,
    /// Rows of all files.
    pub rows: f64,
    /// Compressed, of all columns.
    pub bytes: f64,
    /// The columns that were asked for and are there, and those that are folders.
    pub columns: Vec<LayoutColumn>,
    /// Row groups of all files.
    pub groups: Vec<RowGroup>,
    /// Rows spread over all files, each with a place for each of the columns; `None`: NULL, or a column that has no order.
    pub sample: Vec<Vec<Option<Place>>>,
}

/// A column of the files.
#[derive(Debug, Clone, PartialEq)]
pub struct LayoutColumn {
    /// As statements name it.
    pub name: String,
    /// As the files name it.
    pub file_name: String,
    /// Compressed, in all files.
    pub bytes: f64,
    /// Distinct values, estimated from the sample.
    pub distinct: f64,
    /// Whether it was sampled, and has an order that separates row groups.
    pub ordered: bool,
    /// Whether every row group has a bloom filter of it.
    pub bloom: bool,
    /// Whether its values are names of folders.
    pub folder: bool,
}

/// A row group, which is read or spared as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct RowGroup {
    /// Number of its file.
    pub file: usize,
    /// Its rows.
    pub rows: f64,
    /// Least and greatest place of each column; `None`: the footer does not tell.
    pub bounds: Vec<Option<(Place, Place)>>,
}

/// How the rows of a table are to lie; columns by the names that the files give them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// A folder for each value, in this order. Columns that are folders already stay so.
    pub partition: Vec<String>,
    /// Columns that rows are in order of within each folder; none: any order.
    pub sort: Vec<String>,
    /// Rows of a row group, at most.
    pub group_rows: usize,
    /// Columns that get bloom filters, beside those that have them.
    pub bloom: Vec<String>,
}

/// A source of files that can be advised on their layout.
pub trait LayoutAdvice: Send + Sync {
    /// Looks at the footers of a table, and at a sample of its rows. `read`: columns whose size counts; `compared`: those of them
    /// whose values are ordered and sampled. `None`: the table is none of Parquet files, or has more than can be looked at.
    ///
    /// # Errors
    /// The source's.
    fn study<'a>(
        &'a self,
        table: &'a str,
        read: &'a [String],
        compared: &'a [String],
    ) -> BoxFuture<'a, Result<Option<FileLayout>>>;

    /// Writes the files of a table anew and puts them in the place of the old ones, which are kept. A reader that is under way reads
    /// the one or the other. `id`: the suggestion's, for [`restore`](Self::restore). Says what was done.
    ///
    /// # Errors
    /// Files that cannot be written anew so, or not here; then everything is as it was.
    fn rewrite<'a>(&'a self, table: &'a str, id: i64, wanted: &'a Rewrite) -> BoxFuture<'a, Result<String>>;

    /// Puts the files back that a rewriting replaced. Says what was done.
    ///
    /// # Errors
    /// They are no longer there, or the files are not those that it wrote; then everything is as it was.
    fn restore<'a>(&'a self, table: &'a str, id: i64) -> BoxFuture<'a, Result<String>>;

    /// Removes what was kept long enough.
    ///
    /// # Errors
    /// The source's.
    fn tidy(&self) -> BoxFuture<'_, Result<()>>;
}
