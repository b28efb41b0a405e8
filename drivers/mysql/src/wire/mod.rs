//! Types and values in the server's own forms. Knows no connection.

pub(crate) mod binary;
pub(crate) mod bind;
pub(crate) mod codec;
pub(crate) mod declared;
pub(crate) mod decode;
