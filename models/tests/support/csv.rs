//! Comma-separated values with quotes: enough for the data sets here.

use std::collections::HashMap;
use std::path::Path;

/// A file in memory.
pub struct Table {
    columns: HashMap<String, usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut lines = text.lines().map(fields);
        let header = lines.next().ok_or("an empty file")?;
        let columns = header.into_iter().enumerate().map(|(at, name)| (name, at)).collect();
        Ok(Self { columns, rows: lines.collect() })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn width(&self) -> usize {
        self.columns.len()
    }

    pub fn text(&self, row: usize, column: &str) -> Result<&str, String> {
        let at = self.columns.get(column).ok_or_else(|| format!("no column {column}"))?;
        self.rows[row].get(*at).map(String::as_str).ok_or_else(|| format!("row {row} is short"))
    }

    pub fn number(&self, row: usize, column: &str) -> Result<f64, String> {
        let text = self.text(row, column)?;
        text.parse().map_err(|_| format!("row {row}, {column}: {text} is not a number"))
    }
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}
