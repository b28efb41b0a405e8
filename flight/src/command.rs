//! What a client asks for, read from protobuf into one closed list. What is not on it is refused; nothing is run.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::{
    Any, Command, CommandGetCrossReference, CommandGetDbSchemas, CommandGetTables, CommandStatementIngest,
    ProstMessageExt, TableExistsOption, TableNotExistOption,
};
use bytes::Bytes;
use prost::Message;
use querygate_types::{Error, ErrorCode, Result};

/// A table as the commands about keys name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    pub(crate) catalog: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

/// A command that describes the catalog or the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MetadataCommand {
    Catalogs,
    DbSchemas(CommandGetDbSchemas),
    Tables(CommandGetTables),
    TableTypes,
    SqlInfo(Vec<u32>),
    TypeInfo(Option<i32>),
    PrimaryKeys(TableName),
    ExportedKeys(TableName),
    ImportedKeys(TableName),
    CrossReference { key: TableName, reference: TableName },
}

/// A command whose result can be fetched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    Statement { sql: String, transaction: Option<Bytes> },
    Prepared { handle: Bytes },
    Metadata(MetadataCommand),
}

/// A command that comes with data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Put {
    Parameters { handle: Bytes },
    Update { sql: String, transaction: Option<Bytes> },
    PreparedUpdate { handle: Bytes },
    Ingest(Ingest),
}

/// Rows for a table that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ingest {
    pub(crate) catalog: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    /// The client would have a missing table made.
    pub(crate) creates: bool,
    pub(crate) transaction: Option<Bytes>,
}

/// Reads the command of a descriptor that asks for a result.
pub(crate) fn query_of(descriptor: &FlightDescriptor) -> Result<Query> {
    query(&command_bytes(descriptor)?)
}

/// The bytes of a descriptor's command.
pub(crate) fn command_bytes(descriptor: &FlightDescriptor) -> Result<Bytes> {
    match DescriptorType::try_from(descriptor.r#type) {
        Ok(DescriptorType::Cmd) => Ok(descriptor.cmd.clone()),
        Ok(DescriptorType::Path) => Err(unsupported("a flight by path")),
        Ok(DescriptorType::Unknown) | Err(_) => {
            Err(Error::new(ErrorCode::ProtocolViolation, "the flight descriptor holds no command"))
        }
    }
}

/// Reads a command that asks for a result.
pub(crate) fn query(bytes: &Bytes) -> Result<Query> {
    Ok(match command(bytes)? {
        Command::CommandStatementQuery(c) => Query::Statement { sql: c.query, transaction: c.transaction_id },
        Command::CommandPreparedStatementQuery(c) => Query::Prepared { handle: c.prepared_statement_handle },
        Command::CommandGetCatalogs(_) => Query::Metadata(MetadataCommand::Catalogs),
        Command::CommandGetDbSchemas(c) => Query::Metadata(MetadataCommand::DbSchemas(c)),
        Command::CommandGetTables(c) => Query::Metadata(MetadataCommand::Tables(c)),
        Command::CommandGetTableTypes(_) => Query::Metadata(MetadataCommand::TableTypes),
        Command::CommandGetSqlInfo(c) => Query::Metadata(MetadataCommand::SqlInfo(c.info)),
        Command::CommandGetXdbcTypeInfo(c) => Query::Metadata(MetadataCommand::TypeInfo(c.data_type)),
        Command::CommandGetPrimaryKeys(c) => {
            Query::Metadata(MetadataCommand::PrimaryKeys(table(c.catalog, c.db_schema, c.table)))
        }
        Command::CommandGetExportedKeys(c) => {
            Query::Metadata(MetadataCommand::ExportedKeys(table(c.catalog, c.db_schema, c.table)))
        }
        Command::CommandGetImportedKeys(c) => {
            Query::Metadata(MetadataCommand::ImportedKeys(table(c.catalog, c.db_schema, c.table)))
        }
        Command::CommandGetCrossReference(c) => Query::Metadata(cross_reference(c)),
        Command::CommandStatementSubstraitPlan(_) => return Err(substrait()),
        Command::CommandStatementUpdate(_)
        | Command::CommandPreparedStatementUpdate(_)
        | Command::CommandStatementIngest(_) => return Err(misplaced("an update goes through DoPut")),
        Command::TicketStatementQuery(_) => return Err(misplaced("a ticket is not a command")),
        other => return Err(not_a_query(&other)),
    })
}

/// Reads the command of a DoPut.
pub(crate) fn put(descriptor: &FlightDescriptor) -> Result<Put> {
    Ok(match command(&command_bytes(descriptor)?)? {
        Command::CommandPreparedStatementQuery(c) => Put::Parameters { handle: c.prepared_statement_handle },
        Command::CommandPreparedStatementUpdate(c) => Put::PreparedUpdate { handle: c.prepared_statement_handle },
        Command::CommandStatementUpdate(c) => Put::Update { sql: c.query, transaction: c.transaction_id },
        Command::CommandStatementIngest(c) => Put::Ingest(ingest(c)?),
        Command::CommandStatementSubstraitPlan(_) => return Err(substrait()),
        other => return Err(not_a_query(&other)),
    })
}

fn ingest(c: CommandStatementIngest) -> Result<Ingest> {
    let refuse = |what: &str| Err(append_only(what));
    let table = c.table_definition_options.unwrap_or_default();
    let creates = match TableNotExistOption::try_from(table.if_not_exist) {
        Ok(TableNotExistOption::Fail) => false,
        // Nothing is made where the table is there, which is known when it is looked up.
        Ok(TableNotExistOption::Create) => true,
        Ok(TableNotExistOption::Unspecified) | Err(_) => {
            return Err(malformed("the command").with_detail("It does not say what is done about a missing table."));
        }
    };
    match TableExistsOption::try_from(table.if_exists) {
        Ok(TableExistsOption::Append) => {}
        Ok(TableExistsOption::Replace) => return refuse("bulk ingestion that replaces its table"),
        Ok(TableExistsOption::Fail) => return refuse("bulk ingestion into a new table only"),
        Ok(TableExistsOption::Unspecified) | Err(_) => {
            return Err(
                malformed("the command").with_detail("It does not say what is done about a table that is there.")
            );
        }
    }
    if c.temporary {
        return refuse("bulk ingestion into a temporary table");
    }
    if !c.options.is_empty() {
        return refuse("an option of bulk ingestion");
    }
    Ok(Ingest { catalog: c.catalog, schema: c.schema, table: c.table, creates, transaction: c.transaction_id })
}

/// Why rows are not stored in a table that is missing: it is not made.
pub(crate) fn not_made() -> Error {
    append_only("bulk ingestion that makes its table")
}

fn append_only(what: &str) -> Error {
    unsupported(what).with_hint("Append to a table that is there.")
}

fn cross_reference(c: CommandGetCrossReference) -> MetadataCommand {
    MetadataCommand::CrossReference {
        key: table(c.pk_catalog, c.pk_db_schema, c.pk_table),
        reference: table(c.fk_catalog, c.fk_db_schema, c.fk_table),
    }
}

fn table(catalog: Option<String>, schema: Option<String>, table: String) -> TableName {
    TableName { catalog, schema, table }
}

fn command(bytes: &Bytes) -> Result<Command> {
    let any = Any::decode(bytes.clone()).map_err(|error| malformed("the command").with_cause(error))?;
    Command::try_from(any).map_err(|error| malformed("the command").with_cause(error))
}

/// Reads the body of a Flight SQL action, which wraps its message.
pub(crate) fn action<M: ProstMessageExt>(body: &Bytes) -> Result<M> {
    let any = Any::decode(body.clone()).map_err(|error| malformed("the action").with_cause(error))?;
    let message = any.unpack().map_err(|error| malformed("the action").with_cause(error))?;
    message.ok_or_else(|| malformed("the action").with_detail("The body is another message than the action's."))
}

/// Reads the body of a Flight action, which is its message.
pub(crate) fn plain_action<M: Message + Default>(body: &Bytes) -> Result<M> {
    M::decode(body.clone()).map_err(|error| malformed("the action").with_cause(error))
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorCode::ProtocolViolation, format!("{what} is not a valid message"))
}

fn misplaced(why: &str) -> Error {
    Error::new(ErrorCode::ProtocolViolation, why)
}

fn not_a_query(command: &Command) -> Error {
    match command {
        Command::Unknown(_) => unsupported("this command"),
        _ => misplaced("this message is not a command for this call"),
    }
}

pub(crate) fn substrait() -> Error {
    unsupported("a Substrait plan").with_hint("Send SQL.")
}

pub(crate) fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, format!("{what} is not supported"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_flight::sql::{
        ActionBeginTransactionRequest, ActionEndTransactionRequest, CommandGetCatalogs, CommandStatementQuery,
        CommandStatementSubstraitPlan, CommandStatementUpdate, TicketStatementQuery,
    };

    fn packed(message: &impl ProstMessageExt) -> Bytes {
        message.as_any().encode_to_vec().into()
    }

    #[test]
    fn what_is_no_query_is_refused_with_its_code() {
        let check = |bytes: Bytes, expected: ErrorCode| {
            assert_eq!(query(&bytes).unwrap_err().code(), expected, "{bytes:?}");
        };
        check(packed(&CommandStatementSubstraitPlan::default()), ErrorCode::FeatureNotSupported);
        check(packed(&CommandStatementUpdate::default()), ErrorCode::ProtocolViolation);
        check(packed(&CommandStatementIngest::default()), ErrorCode::ProtocolViolation);
        check(packed(&TicketStatementQuery::default()), ErrorCode::ProtocolViolation);
        check(packed(&ActionBeginTransactionRequest::default()), ErrorCode::ProtocolViolation);
        check(Bytes::new(), ErrorCode::FeatureNotSupported);
        check(Bytes::from_static(b"\xff\xff\xff"), ErrorCode::ProtocolViolation);
        check(Bytes::from_static(b"\x0a\x05AB"), ErrorCode::ProtocolViolation);
        let wrong_body =
            Any { type_url: CommandStatementQuery::type_url().to_owned(), value: Bytes::from_static(b"\x0a\xff") };
        check(wrong_body.encode_to_vec().into(), ErrorCode::ProtocolViolation);
        let unknown = Any { type_url: "type.googleapis.com/x.Y".to_owned(), value: Bytes::new() };
        check(unknown.encode_to_vec().into(), ErrorCode::FeatureNotSupported);
    }

    #[test]
    fn queries_and_descriptors_are_read() {
        let sql = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None };
        let expected = Query::Statement { sql: "SELECT 1".to_owned(), transaction: None };
        assert_eq!(query_of(&FlightDescriptor::new_cmd(packed(&sql))).unwrap(), expected);
        assert_eq!(query(&packed(&CommandGetCatalogs {})).unwrap(), Query::Metadata(MetadataCommand::Catalogs));
        let path = FlightDescriptor::new_path(vec!["a".to_owned()]);
        assert_eq!(query_of(&path).unwrap_err().code(), ErrorCode::FeatureNotSupported);
        assert_eq!(query_of(&FlightDescriptor::default()).unwrap_err().code(), ErrorCode::ProtocolViolation);
    }

    #[test]
    fn rows_are_appended_and_nothing_else() {
        use arrow_flight::sql::TableDefinitionOptions;
        let command = |if_not_exist: TableNotExistOption, if_exists: TableExistsOption, temporary: bool| {
            let table = TableDefinitionOptions { if_not_exist: if_not_exist as i32, if_exists: if_exists as i32 };
            let (table_definition_options, table) = (Some(table), "t".to_owned());
            let command = CommandStatementIngest { table_definition_options, table, temporary, ..Default::default() };
            put(&FlightDescriptor::new_cmd(packed(&command))).map_err(|error| error.code())
        };
        let (no, yes) = (TableNotExistOption::Fail, TableExistsOption::Append);
        let ingest =
            |creates| Ingest { catalog: None, schema: None, table: "t".to_owned(), creates, transaction: None };
        assert_eq!(command(no, yes, false), Ok(Put::Ingest(ingest(false))));
        assert_eq!(command(no, yes, true), Err(ErrorCode::FeatureNotSupported));
        assert_eq!(command(TableNotExistOption::Create, yes, false), Ok(Put::Ingest(ingest(true))));
        let new_only = command(TableNotExistOption::Create, TableExistsOption::Fail, false);
        assert_eq!(new_only, Err(ErrorCode::FeatureNotSupported));
        assert_eq!(command(no, TableExistsOption::Replace, false), Err(ErrorCode::FeatureNotSupported));
        assert_eq!(command(no, TableExistsOption::Fail, false), Err(ErrorCode::FeatureNotSupported));
        assert_eq!(command(TableNotExistOption::Unspecified, yes, false), Err(ErrorCode::ProtocolViolation));
    }

    #[test]
    fn an_action_is_its_own_message() {
        let body = packed(&ActionBeginTransactionRequest {});
        assert!(action::<ActionBeginTransactionRequest>(&body).is_ok());
        assert_eq!(action::<ActionEndTransactionRequest>(&body).unwrap_err().code(), ErrorCode::ProtocolViolation);
    }
}
