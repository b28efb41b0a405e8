//! Rows as the server takes them: as one array for each column, or in COPY's binary format.

use super::cell::put;
use super::form::Form;
use super::values::Values;
use arrow::array::{Array, RecordBatch};
use bytes::{BufMut, BytesMut};
use querygate_driver_api::value::Value;
use querygate_driver_api::write::ChangeShape;
use querygate_types::{Error, Result};
use std::fmt;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// What COPY's binary format begins with: its signature, no flags, no extension.
pub(super) const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(super) const COPY_TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// A column's values as one array, or the number of rows, in binary form.
pub(super) struct Sent(BytesMut);

impl fmt::Debug for Sent {
    /// Values stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Sent {
    fn to_sql(
        &self,
        _ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    /// The types sent with the statement are those of its arrays.
    fn accepts(_ty: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Sent {
    /// A number of rows, as one `bigint`.
    pub(super) fn count(rows: usize) -> Result<Self> {
        let mut out = BytesMut::with_capacity(size_of::<i64>());
        out.put_i64(i64::try_from(rows).map_err(Error::internal)?);
        Ok(Self(out))
    }
}

/// Forms of a change's columns.
pub(super) fn forms(shape: &ChangeShape) -> Result<Vec<Form>> {
    let form = |column: &querygate_driver_api::write::TargetColumn| Form::of(&column.native_type, column.value_type);
    shape.columns().map(form).collect::<Result<_, _>>().map_err(Error::internal)
}

/// Each column as an array.
pub(super) fn arrays(forms: &[Form], rows: &RecordBatch) -> Result<Vec<Sent>> {
    forms.iter().zip(rows.columns()).map(|(form, column)| array(*form, column.as_ref())).collect()
}

fn array(form: Form, column: &dyn Array) -> Result<Sent> {
    let mut out = BytesMut::with_capacity(20 + column.len() * 12);
    out.put_i32(i32::from(!column.is_empty()));
    out.put_i32(i32::from(column.logical_null_count() > 0));
    out.put_u32(form.item().oid());
    if !column.is_empty() {
        out.put_i32(i32::try_from(column.len()).map_err(Error::internal)?);
        out.put_i32(1);
    }
    for row in 0..column.len() {
        let value = Value::from_array(column, row)?;
        cell(value.is_null(), &mut out, |out| put(form, &value, out))?;
    }
    Ok(Sent(out))
}

/// The rows in COPY's binary format, without its header and trailer.
pub(super) fn copied(forms: &[Form], rows: &RecordBatch, out: &mut BytesMut) -> Result<()> {
    let count = i16::try_from(forms.len()).map_err(Error::internal)?;
    let columns: Vec<_> = forms.iter().zip(rows.columns()).map(|(form, column)| Values::of(*form, column)).collect();
    for row in 0..rows.num_rows() {
        out.put_i16(count);
        for values in &columns {
            cell(values.is_null(row), out, |out| values.put(row, out))?;
        }
    }
    Ok(())
}

/// A value with its length before it; −1 for NULL.
fn cell(is_null: bool, out: &mut BytesMut, put: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
    let place = out.len();
    out.put_i32(-1);
    if is_null {
        return Ok(());
    }
    put(out)?;
    let start = place + size_of::<i32>();
    let length = i32::try_from(out.len() - start).map_err(Error::internal)?;
    let head = out.get_mut(place..start).ok_or_else(|| Error::internal("a value lost its length"))?;
    head.copy_from_slice(&length.to_be_bytes());
    Ok(())
}
