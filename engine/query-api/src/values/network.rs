//! Addresses of networks and hosts in Arrow: each is the bytes of its key, which order and compare as PostgreSQL does. Knows no
//! text of one.

use arrow::array::FixedSizeBinaryArray;
use arrow::datatypes::DataType;
use querygate_types::network::Inet;
use querygate_types::{Error, PgType, Result};

/// The Arrow type of `inet` and `cidr`, which nothing else has: 34 bytes. A `cidr` is named in the field's metadata.
pub const NETWORK: DataType = DataType::FixedSizeBinary(34);

/// A row of such a column.
///
/// # Errors
/// Internal: bytes that are no key.
pub fn network_at(keys: &FixedSizeBinaryArray, row: usize) -> Result<Inet> {
    Inet::of_key(keys.value(row)).ok_or_else(|| Error::internal("an address's key does not hold one"))
}

/// An address as its type prints it.
#[must_use]
pub fn network_text(address: Inet, pg_type: PgType) -> String {
    if pg_type == PgType::Cidr { address.with_prefix() } else { address.to_string() }
}
