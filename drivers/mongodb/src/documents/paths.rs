//! Which fields of documents go in which columns. Documents of a collection mostly have the same fields in the same order, so where
//! a field was met in the last document is where it is looked for in the next one. Knows no type and no server.

use crate::documents::decode::Cells;
use crate::documents::json::broken;
use crate::documents::walk;
use crate::error::unreadable;
use mongodb::bson::{RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument};
use querygate_types::Result;

/// Places of a document whose names are remembered, and bytes of each name.
const SHAPE_MAX: usize = 1_024;
const NAME_MAX: usize = 256;

/// Where a field's value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) column: usize,
    /// It must be an ObjectId, and its digits are the text.
    pub(crate) object_id: bool,
}

/// The wanted fields of a document, and those of the documents in it.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    fields: Vec<Field>,
    /// The fields of the last document, in its order.
    shape: Vec<Expected>,
}

#[derive(Debug)]
struct Field {
    name: String,
    targets: Vec<Target>,
    below: Paths,
    /// The document in which it was met last: of fields with one name the first counts.
    met: u64,
}

/// A name with its end, and the wanted field that it is.
#[derive(Debug)]
struct Expected {
    name: Vec<u8>,
    field: Option<usize>,
}

impl Paths {
    /// One more path whose value is wanted.
    pub(crate) fn add(&mut self, path: &str, target: Target) {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let at = self.fields.iter().position(|field| field.name == name).unwrap_or(self.fields.len());
        if at == self.fields.len() {
            self.fields.push(Field { name: name.to_owned(), targets: Vec::new(), below: Self::default(), met: 0 });
        }
        let Some(field) = self.fields.get_mut(at) else { return };
        match rest {
            Some(rest) => field.below.add(rest, target),
            None => field.targets.push(target),
        }
    }

    /// Puts the wanted values of a document into their cells. `number`: another for each document, from 1.
    ///
    /// # Errors
    /// Bytes that are no document, and values that their columns cannot hold.
    pub(crate) fn read(&mut self, document: &[u8], number: u64, cells: &mut Cells) -> Result<()> {
        let mut rest = walk::body(document)?;
        let (mut missing, mut at) = (self.fields.len(), 0);
        while missing > 0
            && let Some((&kind, named)) = rest.split_first()
        {
            let (field, value) = match self.expected(at, named) {
                Some(found) => found,
                None => self.find(at, named)?,
            };
            at += 1;
            let (value, after) = walk::split(kind, value)?;
            rest = after;
            if let Some(field) = field.and_then(|field| self.fields.get_mut(field))
                && field.met != number
            {
                field.met = number;
                missing -= 1;
                field.take(kind, value, number, cells)?;
            }
        }
        Ok(())
    }

    /// The field that the last document had in this place, if this one has it too, and the bytes after its name.
    #[inline]
    fn expected<'b>(&self, at: usize, named: &'b [u8]) -> Option<(Option<usize>, &'b [u8])> {
        let expected = self.shape.get(at)?;
        Some((expected.field, named.strip_prefix(expected.name.as_slice())?))
    }

    /// The same for a name that was not expected, which is from now on.
    fn find<'b>(&mut self, at: usize, named: &'b [u8]) -> Result<(Option<usize>, &'b [u8])> {
        let (name, value) = named.split_at_checked(walk::name_end(named)? + 1).ok_or_else(unreadable)?;
        let field = self.fields.iter().position(|field| name.strip_suffix(&[0]) == Some(field.name.as_bytes()));
        if at < SHAPE_MAX && name.len() <= NAME_MAX {
            let known = self.shape.len();
            match self.shape.get_mut(at) {
                Some(expected) => {
                    expected.name.clear();
                    expected.name.extend_from_slice(name);
                    expected.field = field;
                }
                None if at == known => self.shape.push(Expected { name: name.to_vec(), field }),
                None => {}
            }
        }
        Ok((field, value))
    }

    /// A path through an array means the list of what it finds in the array's documents, as in the source's expressions.
    fn gather<'p>(&'p self, items: &RawArray, above: &mut Vec<&'p str>, cells: &mut Cells) -> Result<()> {
        for field in &self.fields {
            above.push(&field.name);
            if !field.targets.is_empty() {
                let found = gathered(items, above)?;
                for target in &field.targets {
                    cells.put(*target, RawBsonRef::Array(&found))?;
                }
            }
            field.below.gather(items, above, cells)?;
            above.pop();
        }
        Ok(())
    }
}

impl Field {
    #[inline]
    fn take(&mut self, kind: u8, value: &[u8], number: u64, cells: &mut Cells) -> Result<()> {
        for target in &self.targets {
            cells.read(*target, kind, value)?;
        }
        if self.below.fields.is_empty() {
            return Ok(());
        }
        match kind {
            walk::DOCUMENT => self.below.read(value, number, cells),
            walk::ARRAY => {
                let mut scratch = Vec::new();
                let RawBsonRef::Array(items) = walk::value(kind, value, &mut scratch)? else {
                    return Err(unreadable());
                };
                self.below.gather(items, &mut Vec::new(), cells)
            }
            // Nothing is below a value: the path finds none.
            _ => Ok(()),
        }
    }
}

/// What a path finds in the documents of an array. What is in it and no document is left out, arrays too.
fn gathered(items: &RawArray, path: &[&str]) -> Result<RawArrayBuf> {
    let mut all = RawArrayBuf::new();
    for item in items {
        if let RawBsonRef::Document(document) = item.map_err(|error| broken(&error))?
            && let Some(value) = within(document, path)?
        {
            all.push(value);
        }
    }
    Ok(all)
}

fn within(document: &RawDocument, path: &[&str]) -> Result<Option<RawBson>> {
    let Some((name, below)) = path.split_first() else { return Ok(None) };
    let Some(value) = document.get(name).map_err(|error| broken(&error))? else { return Ok(None) };
    match value {
        value if below.is_empty() => Ok(Some(value.into())),
        RawBsonRef::Document(document) => within(document, below),
        RawBsonRef::Array(items) => gathered(items, below).map(|all| Some(RawBson::Array(all))),
        _ => Ok(None),
    }
}
