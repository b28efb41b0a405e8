//! Memberships and shares: rows of `sys_*` objects from the metadata's seed data and from NDJSON files beside it.

use querygate_metadata::{Facts, RowFile, RowReader, Snapshot};
use querygate_types::{Error, ErrorCode, Result};
use std::io::BufReader;

/// A row of an object.
pub(super) type Row = (String, serde_json::Map<String, serde_json::Value>);

/// Rows of the platform's own objects.
pub(super) fn system_rows(snapshot: &Snapshot, files: &[RowFile]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for seed in &snapshot.seed {
        if seed.object.starts_with("sys_") {
            rows.extend(seed.records.iter().map(|row| (seed.object.clone(), row.clone())));
        }
    }
    for file in files.iter().filter(|file| file.object.starts_with("sys_")) {
        let open = std::fs::File::open(&file.path).map_err(|e| {
            Error::new(ErrorCode::MetadataInvalid, format!("cannot read {}", file.path.display()))
                .with_detail(e.to_string())
        })?;
        for row in RowReader::new(&file.path.to_string_lossy(), BufReader::new(open)) {
            let row = row.map_err(|d| {
                Error::new(ErrorCode::MetadataInvalid, "a row cannot be read").with_detail(d.to_string())
            })?;
            rows.push((file.object.clone(), row));
        }
    }
    Ok(rows)
}

/// Who holds what. A row that cannot be understood is an error: ignoring it could widen or narrow someone's rights.
pub(super) fn facts(rows: &[Row]) -> Result<Facts> {
    Facts::from_rows(rows.iter().map(|(object, row)| (object.as_str(), row))).map_err(|e| {
        Error::new(ErrorCode::MetadataInvalid, "a membership or share cannot be understood").with_detail(e.to_string())
    })
}
