//! Tables over given versions of given files: nothing is listed, no other file is read, and a file that is not the one that was
//! listed elsewhere is refused. For those who read a part of a table on somebody's word.

use crate::config::TableSpec;
use crate::source::FilesSource;
use crate::table::FileTable;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use querygate_types::{Error, ErrorCode, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// One file in the version that was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedFile {
    /// Relative to the source.
    pub path: String,
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified_ns: i64,
    /// From which byte to which; `None`: the whole file.
    pub range: Option<(i64, i64)>,
}

impl FilesSource {
    /// The provider of exactly these files.
    ///
    /// # Errors
    /// A file that lies outside of the source's folder, links followed; one that is gone, or another than was listed.
    pub async fn pinned(&self, spec: &TableSpec, files: &[PinnedFile]) -> Result<Arc<FileTable>> {
        let table = self.table(spec).await?;
        let store = self.shared().store()?;
        let mut listed = Vec::with_capacity(files.len());
        for file in files {
            let changed = |cause: &str| table.names.changed(format!("{}: {cause}", file.path));
            let location = Path::parse(&file.path).map_err(|_| outside(&table, "it is no path of a file"))?;
            within(&table, &location).await?;
            let found = store.head(&location).await.map_err(|error| table.names.store(&error))?;
            if found.size != file.bytes || found.last_modified.timestamp_nanos_opt() != Some(file.modified_ns) {
                return Err(changed("it is not the version that was listed"));
            }
            listed.push(ObjectMeta { location, ..found });
        }
        let ranges: Vec<_> = files.iter().map(|file| file.range).collect();
        table.pin(listed, &ranges).await.map(Arc::new)
    }
}

/// Whether the file that the name leads to lies in the source's folder.
async fn within(table: &FileTable, location: &Path) -> Result<()> {
    let Some(root) = table.shared.root() else { return Err(outside(table, "its source is no folder")) };
    let path: PathBuf = location.parts().fold(root.clone(), |at, part| at.join(part.as_ref()));
    let led =
        tokio::task::spawn_blocking(move || Ok::<_, std::io::Error>((root.canonicalize()?, path.canonicalize()?)));
    match led.await.map_err(Error::internal)? {
        Ok((root, path)) if path.starts_with(&root) => Ok(()),
        Ok(_) => Err(outside(table, "its name leads out of the folder")),
        Err(error) => Err(table.names.changed(error)),
    }
}

fn outside(table: &FileTable, cause: &str) -> Error {
    let text = format!("a file of table \"{}\" is not in the folder of its source", table.names.table);
    Error::new(ErrorCode::InsufficientPrivilege, text).with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileFormat, FilesConfig};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::prelude::SessionContext;
    use std::fs;
    use std::time::UNIX_EPOCH;

    fn spec() -> TableSpec {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        TableSpec::new("t", "t", FileFormat::Ndjson, Some(schema))
    }

    fn version(root: &std::path::Path, path: &str) -> PinnedFile {
        let found = fs::metadata(root.join(path)).unwrap();
        let since = found.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        let modified_ns = i64::try_from(since.as_nanos()).unwrap();
        PinnedFile { path: path.to_owned(), bytes: found.len(), modified_ns, range: None }
    }

    async fn rows(table: Arc<FileTable>) -> usize {
        SessionContext::new().read_table(table).unwrap().count().await.unwrap()
    }

    #[tokio::test]
    async fn only_the_given_files_in_their_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let (root, secret) = (folder.path().join("lake"), folder.path().join("secret.ndjson"));
        fs::create_dir_all(root.join("t")).unwrap();
        fs::write(root.join("t/1.ndjson"), "{\"a\":1}\n").unwrap();
        fs::write(root.join("t/2.ndjson"), "{\"a\":2}\n{\"a\":3}\n").unwrap();
        fs::write(&secret, "{\"a\":4}\n").unwrap();
        std::os::unix::fs::symlink(&secret, root.join("t/3.ndjson")).unwrap();
        std::os::unix::fs::symlink("1.ndjson", root.join("t/4.ndjson")).unwrap();
        let source = FilesSource::new(FilesConfig::local("lake", &root)).unwrap();
        let (one, two) = (version(&root, "t/1.ndjson"), version(&root, "t/2.ndjson"));
        assert_eq!(rows(source.pinned(&spec(), std::slice::from_ref(&two)).await.unwrap()).await, 2);
        assert_eq!(rows(source.pinned(&spec(), &[one.clone(), two.clone()]).await.unwrap()).await, 3);
        let inside = version(&root, "t/4.ndjson");
        assert_eq!(rows(source.pinned(&spec(), &[inside]).await.unwrap()).await, 1, "a link within the folder");
        let code = async |file: PinnedFile| source.pinned(&spec(), &[file]).await.unwrap_err().code();
        assert_eq!(code(version(&root, "t/3.ndjson")).await, ErrorCode::InsufficientPrivilege, "a link out of it");
        let up = PinnedFile { path: "../secret.ndjson".to_owned(), ..one.clone() };
        assert_eq!(code(up).await, ErrorCode::InsufficientPrivilege);
        assert_eq!(code(PinnedFile { bytes: 9, ..one.clone() }).await, ErrorCode::SourceError, "another size");
        assert_eq!(code(PinnedFile { modified_ns: 9, ..one.clone() }).await, ErrorCode::SourceError, "another date");
        assert_eq!(code(PinnedFile { path: "t/5.ndjson".to_owned(), ..one }).await, ErrorCode::SourceError, "gone");
    }

    #[tokio::test]
    async fn a_table_tells_what_it_is_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let source = FilesSource::new(FilesConfig::local("lake", folder.path())).unwrap();
        let mut spec = spec();
        spec.column_map.insert("a".to_owned(), "A".to_owned());
        let told = source.table(&spec).await.unwrap().spec().unwrap();
        assert_eq!((told.pattern.as_str(), &told.format), ("t", &FileFormat::Ndjson));
        assert_eq!(told.column_map, spec.column_map);
        let again = source.table(&told).await.unwrap();
        assert_eq!(again.spec().unwrap().schema, told.schema);
    }
}
