//! COPY … TO STDOUT: headers, trailers and completion around the rows. Knows no value.

use crate::connection::Connection;
use crate::connection::halt::Halt;
use crate::connection::stream::RowSource;
use crate::connection::width::check_width;
use crate::encode::{CopyText, Shape};
use crate::wire::{Format, Writer};
use querygate_query_api::outcome::{CopyFormat, CopyOptions, Rows};
use tokio_util::sync::CancellationToken;

/// Signature, flags and header extension length of the binary format. In the first row's message, as PostgreSQL sends it:
/// clients that read one record per message (ADBC, ConnectorX, psycopg) rely on that.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of −1 ends binary data.
const BINARY_TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// How a COPY writes.
pub(crate) struct CopyStyle {
    shape: Shape,
    header: bool,
}

impl CopyStyle {
    pub(crate) fn new(options: &CopyOptions) -> Self {
        let text = |csv| {
            Shape::CopyText(CopyText {
                csv,
                delimiter: options.delimiter,
                quote: options.quote,
                escape: options.escape,
                null: options.null.as_bytes().into(),
                force_quote: options.force_quote.clone(),
            })
        };
        let shape = match options.format {
            CopyFormat::Text => text(false),
            CopyFormat::Csv => text(true),
            CopyFormat::Binary => Shape::CopyBinary,
        };
        Self { shape, header: options.header }
    }
}

impl Connection {
    pub(crate) async fn copy_out(
        &mut self,
        rows: Rows,
        style: CopyStyle,
        token: &CancellationToken,
    ) -> Result<(), Halt> {
        check_width(&rows)?;
        let format = match style.shape {
            Shape::CopyBinary => Format::Binary,
            Shape::CopyText(_) | Shape::DataRow => Format::Text,
        };
        self.out.copy_out_response(rows.columns.len(), format);
        if let Shape::CopyText(text) = &style.shape
            && style.header
        {
            let mut line = Vec::new();
            text.header(rows.columns.iter().map(|column| column.name.as_str()), &mut line);
            self.copy_data(&[&line]);
        }
        let mut source = RowSource::new(rows, &[format], style.shape)?;
        if format == Format::Binary {
            source.lead = Some(BINARY_HEADER);
        }
        let progress = self.pump(&mut source, None, token).await?;
        if format == Format::Binary {
            self.copy_data(&[source.lead.unwrap_or_default(), &BINARY_TRAILER]);
        }
        self.out.empty(b'c');
        self.take_effects();
        self.complete(&source.tag, progress.rows)
    }

    fn copy_data(&mut self, parts: &[&[u8]]) {
        let mark = self.out.open(b'd');
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
        self.out.close(mark);
    }
}
