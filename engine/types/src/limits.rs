//! Bounds that several crates must agree on. Units are in the names.

/// Largest frame a Postgres client may send, in bytes.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest startup packet, in bytes (PostgreSQL's own bound).
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Prepared statements and portals per connection.
pub const STATEMENTS_PER_CONNECTION_MAX: usize = 4_096;
/// Bytes of the texts of one session's prepared statements, each counted with the text that it came in.
pub const PREPARED_BYTES_MAX: usize = 32 << 20;
/// Parameters of one statement (the wire's own bound).
pub const PARAMETERS_MAX: usize = 65_535;
/// Nesting of SQL expressions and queries accepted by the parser.
pub const SQL_DEPTH_MAX: usize = 200;
/// Length of a statement's text, in bytes.
pub const SQL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Columns of one result (PostgreSQL's target-list bound).
pub const RESULT_COLUMNS_MAX: usize = 1_664;
/// Rows a batch aims at.
pub const BATCH_ROWS: usize = 8_192;
/// Bytes a batch aims at: one that waits for a reader is cut into pieces of about this size.
pub const BATCH_BYTES: usize = 1 << 20;
/// Longest time that a setting such as `statement_timeout` may hold, in milliseconds (PostgreSQL's own bound, 24 days).
pub const SETTING_MILLISECONDS_MAX: u64 = 2_147_483_647;
/// Bytes of rows that the scrollable cursors of one session keep.
pub const CURSOR_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Members of a key list bound into one fragment.
pub const KEY_LIST_MAX: usize = 32_768;
