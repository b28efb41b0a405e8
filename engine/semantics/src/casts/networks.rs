//! Conversions of `inet` and `cidr`. Their functions are among the functions.

use crate::fault::external;
use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringArray, StringViewArray};
use datafusion::common::{Result, ScalarValue};
use querygate_query_api::values::network::network_at;
use querygate_types::network::{Inet, NoNetwork};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// An address as the engine holds it.
pub(crate) fn scalar(address: Inet) -> ScalarValue {
    ScalarValue::FixedSizeBinary(KEY_BYTES, Some(address.key().to_vec()))
}

const KEY_BYTES: i32 = Inet::KEY_BYTES as i32;

/// A text as `inet`, or as `cidr`.
pub(crate) fn read(text: &str, is_cidr: bool) -> Result<Inet> {
    let refused = |message: &str| Error::new(ErrorCode::InvalidTextRepresentation, message.to_owned());
    if !is_cidr {
        return Inet::read(text).ok_or_else(|| external(refused("invalid input syntax for type inet")));
    }
    Inet::read_network(text).map_err(|wrong| {
        external(match wrong {
            NoNetwork::Spelling => refused("invalid input syntax for type cidr"),
            NoNetwork::HostBits => {
                refused("invalid cidr value").with_detail("Value has bits set to right of mask.".to_owned())
            }
        })
    })
}

pub(crate) fn of_texts(texts: &StringViewArray, is_cidr: bool) -> Result<ArrayRef> {
    keys(texts.iter().map(|text| text.map(|text| read(text, is_cidr)).transpose()))
}

/// Addresses as texts, which a cast writes with their prefixes, unlike the type's output.
pub(crate) fn to_texts(values: &ArrayRef) -> Result<ArrayRef> {
    let texts = addresses(values).map(|address| Ok(address?.map(Inet::with_prefix)));
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

/// The networks of addresses.
pub(crate) fn of_networks(values: &ArrayRef) -> Result<ArrayRef> {
    keys(addresses(values).map(|address| Ok(address?.map(Inet::network))))
}

fn addresses(values: &ArrayRef) -> impl Iterator<Item = Result<Option<Inet>>> {
    let keys = values.as_fixed_size_binary();
    (0..keys.len()).map(
        |row| {
            if keys.is_null(row) { Ok(None) } else { network_at(keys, row).map(Some).map_err(external) }
        },
    )
}

fn keys(addresses: impl Iterator<Item = Result<Option<Inet>>>) -> Result<ArrayRef> {
    let keys = addresses.map(|address| Ok(address?.map(Inet::key))).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.into_iter(), KEY_BYTES)?))
}
