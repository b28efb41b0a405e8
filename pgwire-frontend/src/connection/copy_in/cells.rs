//! The values of one row as its bytes have them, before they have types.

/// Values of one row, one after the other.
#[derive(Debug, Default)]
pub(super) struct Cells {
    bytes: Vec<u8>,
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    Null,
    /// The column's default, which takes the place of NULL.
    Default,
}

impl Cells {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What was added of the value that is not yet ended.
    pub(super) fn open(&self) -> &[u8] {
        self.bytes.get(self.start()..).unwrap_or_default()
    }

    /// Ends a value. Only of [`Kind::Value`], bytes count.
    pub(super) fn end(&mut self, kind: Kind) {
        self.cells.push(Cell { start: self.start(), end: self.bytes.len(), kind });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.cells.iter().map(|cell| match cell.kind {
            Kind::Null | Kind::Default => None,
            Kind::Value => Some(self.bytes.get(cell.start..cell.end).unwrap_or_default()),
        })
    }

    /// Places of values that are to be their columns' defaults.
    pub(super) fn defaults(&self) -> impl Iterator<Item = usize> {
        self.cells.iter().enumerate().filter(|(_, cell)| cell.kind == Kind::Default).map(|(at, _)| at)
    }

    fn start(&self) -> usize {
        self.cells.last().map_or(0, |cell| cell.end)
    }
}
