//! The records that access is judged on: rows of the metadata and beside it, or of a file.

use super::super::file_error;
use crate::governance::Governance;
use querygate_metadata::load::RowReader;
use querygate_metadata::model::{Location, PlacedRow};
use querygate_policy::filter::{RowLookup, refers_to};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub(super) type Row = Map<String, Value>;

/// Records by object, with their places.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    by_object: BTreeMap<String, Vec<PlacedRow>>,
}

impl Rows {
    /// Rows of `{"object": [{…}, …], …}`.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|e| file_error("read", file, &e))?;
        let read: BTreeMap<String, Vec<Row>> = serde_json::from_str(&text).map_err(|e| {
            Error::new(
                ErrorCode::InvalidTextRepresentation,
                format!("{} is not an object of lists of records", file.display()),
            )
            .with_detail(e.to_string())
        })?;
        let place = |object: &str, at: usize| Location::outside(&format!("{} {object}[{at}]", file.display()));
        let placed = |object: String, rows: Vec<Row>| {
            let row = |(at, row)| PlacedRow { object: object.clone(), row, location: place(&object, at) };
            let rows = rows.into_iter().enumerate().map(row).collect();
            (object, rows)
        };
        Ok(Self { by_object: read.into_iter().map(|(object, rows)| placed(object, rows)).collect() })
    }

    /// Seed data and the files of rows: what a table in memory serves, and memberships.
    pub(super) fn of_metadata(governance: &Governance) -> Result<Self> {
        let mut rows = Self::default();
        let own = |object: &str| object.starts_with("sys_");
        for row in &governance.rows {
            rows.push(row.clone());
        }
        for seed in governance.snapshot.seed.iter().filter(|seed| !own(&seed.object)) {
            for record in &seed.records {
                let location = seed.location.clone();
                rows.push(PlacedRow { object: seed.object.clone(), row: record.clone(), location });
            }
        }
        for file in governance.row_files.iter().filter(|file| !own(&file.object)) {
            let name = file.path.display().to_string();
            let open = File::open(&file.path).map_err(|e| file_error("read", &file.path, &e))?;
            for row in RowReader::new(&name, BufReader::new(open)) {
                let row = row.map_err(|finding| Error::new(ErrorCode::MetadataInvalid, finding.to_string()))?;
                rows.push(PlacedRow { object: file.object.clone(), row, location: Location::outside(&name) });
            }
        }
        Ok(rows)
    }

    fn push(&mut self, row: PlacedRow) {
        self.by_object.entry(row.object.clone()).or_default().push(row);
    }

    /// Takes the rows of each object that is given in place of its own.
    pub(super) fn replace(&mut self, given: Self) {
        self.by_object.extend(given.by_object);
    }

    /// Names of the objects of which there are rows, or none.
    pub(super) fn objects(&self) -> impl Iterator<Item = &str> {
        self.by_object.keys().map(String::as_str)
    }

    /// Users of memberships and shares, with the places that name them.
    pub(super) fn user_ids(&self) -> impl Iterator<Item = (&str, &Location)> {
        let own = self.by_object.iter().filter(|(object, _)| object.starts_with("sys_"));
        own.flat_map(|(_, rows)| rows)
            .filter_map(|placed| Some((placed.row.get("user_id")?.as_str()?, &placed.location)))
    }

    /// Memberships, shares and stored sets.
    pub(super) fn system(&self) -> Vec<PlacedRow> {
        let own = self.by_object.iter().filter(|(object, _)| object.starts_with("sys_"));
        own.flat_map(|(_, rows)| rows.iter().cloned()).collect()
    }

    pub(super) fn of(&self, object: &str) -> impl Iterator<Item = &Row> {
        self.by_object.get(object).into_iter().flatten().map(|placed| &placed.row)
    }
}

impl RowLookup for Rows {
    fn rows_where(&self, object: &str, column: &str, value: &str) -> Result<Vec<Row>> {
        let holds = |row: &&Row| row.get(column).is_some_and(|cell| refers_to(cell, value));
        Ok(self.of(object).filter(holds).cloned().collect())
    }
}
