//! The closed list of error codes and its one mapping to SQLSTATE, gRPC status and HTTP status.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod grpc;

pub use grpc::GrpcStatus;

/// What went wrong, as clients may know it. Closed: a new failure needs a new arm in every mapping below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the conditions of their SQLSTATEs")]
pub enum ErrorCode {
    // Connection and authentication
    ProtocolViolation,
    ConnectionDoesNotExist,
    TooManyConnections,
    InvalidPassword,
    InvalidAuthorization,
    CannotConnectNow,
    AdminShutdown,
    IdleInTransactionTimeout,
    IdleSessionTimeout,
    // Statement
    SyntaxError,
    FeatureNotSupported,
    StatementTooComplex,
    ProgramLimitExceeded,
    TooManyColumns,
    UndefinedTable,
    DuplicateTable,
    DependentObjects,
    InvalidTableDefinition,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedObject,
    UndefinedParameter,
    UndefinedSchema,
    UndefinedDatabase,
    UndefinedSavepoint,
    AmbiguousColumn,
    AmbiguousFunction,
    DuplicateColumn,
    DuplicateAlias,
    DuplicateCursor,
    DuplicatePreparedStatement,
    InvalidCursorName,
    InvalidStatementName,
    GroupingError,
    WindowingError,
    WrongObjectType,
    DatatypeMismatch,
    CannotCoerce,
    IndeterminateDatatype,
    InvalidColumnReference,
    InvalidRecursion,
    InvalidParameterValue,
    CantChangeRuntimeParam,
    ObjectNotInPrerequisiteState,
    InsufficientPrivilege,
    ReadOnlyTransaction,
    ActiveTransaction,
    NoActiveTransaction,
    InFailedTransaction,
    // Data
    NumericOutOfRange,
    DivisionByZero,
    InvalidTextRepresentation,
    InvalidBinaryRepresentation,
    InvalidDatetimeFormat,
    DatetimeOverflow,
    IntervalFieldOverflow,
    ArraySubscriptError,
    NullValueNotAllowed,
    InvalidRegularExpression,
    InvalidTablesampleArgument,
    StringDataTooLong,
    StringDataLengthMismatch,
    CharacterNotInRepertoire,
    UntranslatableCharacter,
    CardinalityViolation,
    NegativeSubstringLength,
    InvalidLogarithmArgument,
    InvalidPowerArgument,
    InvalidWidthBucketArgument,
    InvalidLimit,
    InvalidOffset,
    BadCopyFormat,
    DataException,
    // Changes
    NotNullViolation,
    ForeignKeyViolation,
    UniqueViolation,
    CheckViolation,
    GeneratedAlways,
    RaisedException,
    ExternalRoutineException,
    SerializationFailure,
    DeadlockDetected,
    LockNotAvailable,
    StatementOutcomeUnknown,
    TransactionOutcomeUnknown,
    // Resources
    OutOfMemory,
    DiskFull,
    QueryCanceled,
    StatementTimeout,
    TooManyQueries,
    // Sources
    SourceUnavailable,
    SourceLost,
    SourceSchemaChanged,
    SourceError,
    PushdownRequired,
    // Metadata and configuration
    ConfigInvalid,
    MetadataInvalid,
    // Ours
    Internal,
}

/// What a client may do after the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// Repeating the statement fails again.
    Never,
    /// Repeating the statement may succeed later.
    Later,
}

/// Whether the message text may reach a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The text names only what the client sent or may see.
    Client,
    /// The client gets a fixed text; the cause goes to the log.
    Internal,
}

impl ErrorCode {
    /// Every code, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::ProtocolViolation,
        Self::ConnectionDoesNotExist,
        Self::TooManyConnections,
        Self::InvalidPassword,
        Self::InvalidAuthorization,
        Self::CannotConnectNow,
        Self::AdminShutdown,
        Self::IdleInTransactionTimeout,
        Self::IdleSessionTimeout,
        Self::SyntaxError,
        Self::FeatureNotSupported,
        Self::StatementTooComplex,
        Self::ProgramLimitExceeded,
        Self::TooManyColumns,
        Self::UndefinedTable,
        Self::DuplicateTable,
        Self::DependentObjects,
        Self::InvalidTableDefinition,
        Self::UndefinedColumn,
        Self::UndefinedFunction,
        Self::UndefinedObject,
        Self::UndefinedParameter,
        Self::UndefinedSchema,
        Self::UndefinedDatabase,
        Self::UndefinedSavepoint,
        Self::AmbiguousColumn,
        Self::AmbiguousFunction,
        Self::DuplicateColumn,
        Self::DuplicateAlias,
        Self::DuplicateCursor,
        Self::DuplicatePreparedStatement,
        Self::InvalidCursorName,
        Self::InvalidStatementName,
        Self::GroupingError,
        Self::WindowingError,
        Self::WrongObjectType,
        Self::DatatypeMismatch,
        Self::CannotCoerce,
        Self::IndeterminateDatatype,
        Self::InvalidColumnReference,
        Self::InvalidRecursion,
        Self::InvalidParameterValue,
        Self::CantChangeRuntimeParam,
        Self::ObjectNotInPrerequisiteState,
        Self::InsufficientPrivilege,
        Self::ReadOnlyTransaction,
        Self::ActiveTransaction,
        Self::NoActiveTransaction,
        Self::InFailedTransaction,
        Self::NumericOutOfRange,
        Self::DivisionByZero,
        Self::InvalidTextRepresentation,
        Self::InvalidBinaryRepresentation,
        Self::InvalidDatetimeFormat,
        Self::DatetimeOverflow,
        Self::IntervalFieldOverflow,
        Self::ArraySubscriptError,
        Self::NullValueNotAllowed,
        Self::InvalidRegularExpression,
        Self::InvalidTablesampleArgument,
        Self::StringDataTooLong,
        Self::StringDataLengthMismatch,
        Self::CharacterNotInRepertoire,
        Self::UntranslatableCharacter,
        Self::CardinalityViolation,
        Self::NegativeSubstringLength,
        Self::InvalidLogarithmArgument,
        Self::InvalidPowerArgument,
        Self::InvalidWidthBucketArgument,
        Self::InvalidLimit,
        Self::InvalidOffset,
        Self::BadCopyFormat,
        Self::DataException,
        Self::NotNullViolation,
        Self::ForeignKeyViolation,
        Self::UniqueViolation,
        Self::CheckViolation,
        Self::GeneratedAlways,
        Self::RaisedException,
        Self::ExternalRoutineException,
        Self::SerializationFailure,
        Self::DeadlockDetected,
        Self::LockNotAvailable,
        Self::StatementOutcomeUnknown,
        Self::TransactionOutcomeUnknown,
        Self::OutOfMemory,
        Self::DiskFull,
        Self::QueryCanceled,
        Self::StatementTimeout,
        Self::TooManyQueries,
        Self::SourceUnavailable,
        Self::SourceLost,
        Self::SourceSchemaChanged,
        Self::SourceError,
        Self::PushdownRequired,
        Self::ConfigInvalid,
        Self::MetadataInvalid,
        Self::Internal,
    ];

    /// SQLSTATE, as PostgreSQL's appendix A assigns it.
    #[must_use]
    pub const fn sqlstate(self) -> &'static str {
        match self {
            Self::ProtocolViolation => "08P01",
            Self::ConnectionDoesNotExist => "08003",
            Self::TooManyConnections | Self::TooManyQueries => "53300",
            Self::InvalidPassword => "28P01",
            Self::InvalidAuthorization => "28000",
            Self::CannotConnectNow => "57P03",
            Self::AdminShutdown => "57P01",
            Self::IdleInTransactionTimeout => "25P03",
            Self::IdleSessionTimeout => "57P05",
            Self::SyntaxError => "42601",
            Self::FeatureNotSupported | Self::PushdownRequired => "0A000",
            Self::StatementTooComplex => "54001",
            Self::ProgramLimitExceeded => "54000",
            Self::TooManyColumns => "54011",
            Self::UndefinedTable => "42P01",
            Self::DuplicateTable => "42P07",
            Self::DependentObjects => "2BP01",
            Self::InvalidTableDefinition => "42P16",
            Self::UndefinedColumn => "42703",
            Self::UndefinedFunction => "42883",
            Self::UndefinedObject => "42704",
            Self::UndefinedParameter => "42P02",
            Self::UndefinedSchema => "3F000",
            Self::UndefinedDatabase => "3D000",
            Self::UndefinedSavepoint => "3B001",
            Self::AmbiguousColumn => "42702",
            Self::AmbiguousFunction => "42725",
            Self::DuplicateColumn => "42701",
            Self::DuplicateAlias => "42712",
            Self::DuplicateCursor => "42P03",
            Self::DuplicatePreparedStatement => "42P05",
            Self::InvalidCursorName => "34000",
            Self::InvalidStatementName => "26000",
            Self::GroupingError => "42803",
            Self::WindowingError => "42P20",
            Self::WrongObjectType => "42809",
            Self::DatatypeMismatch => "42804",
            Self::CannotCoerce => "42846",
            Self::IndeterminateDatatype => "42P18",
            Self::InvalidColumnReference => "42P10",
            Self::InvalidRecursion => "42P19",
            Self::InvalidParameterValue => "22023",
            Self::CantChangeRuntimeParam => "55P02",
            Self::ObjectNotInPrerequisiteState => "55000",
            Self::InsufficientPrivilege => "42501",
            Self::ReadOnlyTransaction => "25006",
            Self::ActiveTransaction => "25001",
            Self::NoActiveTransaction => "25P01",
            Self::InFailedTransaction => "25P02",
            Self::NumericOutOfRange => "22003",
            Self::DivisionByZero => "22012",
            Self::InvalidTextRepresentation => "22P02",
            Self::InvalidBinaryRepresentation => "22P03",
            Self::InvalidDatetimeFormat => "22007",
            Self::DatetimeOverflow => "22008",
            Self::IntervalFieldOverflow => "22015",
            Self::ArraySubscriptError => "2202E",
            Self::NullValueNotAllowed => "22004",
            Self::InvalidRegularExpression => "2201B",
            Self::InvalidTablesampleArgument => "2202H",
            Self::StringDataTooLong => "22001",
            Self::StringDataLengthMismatch => "22026",
            Self::CharacterNotInRepertoire => "22021",
            Self::UntranslatableCharacter => "22P05",
            Self::CardinalityViolation => "21000",
            Self::NegativeSubstringLength => "22011",
            Self::InvalidLogarithmArgument => "2201E",
            Self::InvalidPowerArgument => "2201F",
            Self::InvalidWidthBucketArgument => "2201G",
            Self::InvalidLimit => "2201W",
            Self::InvalidOffset => "2201X",
            Self::BadCopyFormat => "22P04",
            Self::DataException => "22000",
            Self::NotNullViolation => "23502",
            Self::ForeignKeyViolation => "23503",
            Self::UniqueViolation => "23505",
            Self::CheckViolation => "23514",
            Self::GeneratedAlways => "428C9",
            Self::RaisedException => "P0001",
            Self::ExternalRoutineException => "38000",
            Self::SerializationFailure => "40001",
            Self::DeadlockDetected => "40P01",
            Self::LockNotAvailable => "55P03",
            Self::StatementOutcomeUnknown => "40003",
            Self::TransactionOutcomeUnknown => "08007",
            Self::OutOfMemory => "53200",
            Self::DiskFull => "53100",
            Self::QueryCanceled | Self::StatementTimeout => "57014",
            Self::SourceUnavailable => "08001",
            Self::SourceLost => "08006",
            Self::SourceSchemaChanged => "0A000",
            Self::SourceError => "58000",
            Self::ConfigInvalid | Self::MetadataInvalid => "F0000",
            Self::Internal => "XX000",
        }
    }

    /// gRPC status of the Flight door.
    #[must_use]
    pub const fn grpc(self) -> GrpcStatus {
        match self {
            Self::ProtocolViolation
            | Self::SyntaxError
            | Self::StatementTooComplex
            | Self::UndefinedColumn
            | Self::UndefinedFunction
            | Self::UndefinedParameter
            | Self::AmbiguousColumn
            | Self::AmbiguousFunction
            | Self::DuplicateColumn
            | Self::InvalidTableDefinition
            | Self::DuplicateAlias
            | Self::GroupingError
            | Self::WindowingError
            | Self::WrongObjectType
            | Self::DatatypeMismatch
            | Self::CannotCoerce
            | Self::IndeterminateDatatype
            | Self::InvalidColumnReference
            | Self::InvalidRecursion
            | Self::ArraySubscriptError
            | Self::NullValueNotAllowed
            | Self::InvalidParameterValue
            | Self::InvalidTextRepresentation
            | Self::InvalidBinaryRepresentation
            | Self::InvalidDatetimeFormat
            | Self::InvalidRegularExpression
            | Self::InvalidTablesampleArgument
            | Self::StringDataTooLong
            | Self::StringDataLengthMismatch
            | Self::CharacterNotInRepertoire
            | Self::UntranslatableCharacter
            | Self::CardinalityViolation
            | Self::NegativeSubstringLength
            | Self::InvalidLogarithmArgument
            | Self::InvalidPowerArgument
            | Self::InvalidWidthBucketArgument
            | Self::InvalidLimit
            | Self::InvalidOffset
            | Self::BadCopyFormat
            | Self::DataException
            | Self::NotNullViolation
            | Self::CheckViolation
            | Self::GeneratedAlways
            | Self::RaisedException
            | Self::ConfigInvalid
            | Self::MetadataInvalid => GrpcStatus::InvalidArgument,
            Self::NumericOutOfRange | Self::DivisionByZero | Self::DatetimeOverflow | Self::IntervalFieldOverflow => {
                GrpcStatus::OutOfRange
            }
            Self::InvalidPassword | Self::InvalidAuthorization => GrpcStatus::Unauthenticated,
            Self::InsufficientPrivilege => GrpcStatus::PermissionDenied,
            Self::UndefinedTable
            | Self::UndefinedObject
            | Self::UndefinedSchema
            | Self::UndefinedDatabase
            | Self::UndefinedSavepoint
            | Self::InvalidCursorName
            | Self::InvalidStatementName
            | Self::ConnectionDoesNotExist => GrpcStatus::NotFound,
            Self::DuplicateCursor | Self::DuplicatePreparedStatement | Self::DuplicateTable | Self::UniqueViolation => {
                GrpcStatus::AlreadyExists
            }
            Self::FeatureNotSupported | Self::PushdownRequired => GrpcStatus::Unimplemented,
            Self::ReadOnlyTransaction
            | Self::ActiveTransaction
            | Self::NoActiveTransaction
            | Self::InFailedTransaction
            | Self::IdleInTransactionTimeout
            | Self::IdleSessionTimeout
            | Self::CantChangeRuntimeParam
            | Self::ObjectNotInPrerequisiteState
            | Self::ForeignKeyViolation
            | Self::DependentObjects
            | Self::SourceSchemaChanged => GrpcStatus::FailedPrecondition,
            Self::TooManyConnections
            | Self::TooManyQueries
            | Self::OutOfMemory
            | Self::DiskFull
            | Self::ProgramLimitExceeded
            | Self::TooManyColumns => GrpcStatus::ResourceExhausted,
            Self::QueryCanceled => GrpcStatus::Cancelled,
            Self::StatementTimeout => GrpcStatus::DeadlineExceeded,
            // Rolled back for the sake of others: the transaction may be begun anew.
            Self::SerializationFailure
            | Self::DeadlockDetected
            | Self::LockNotAvailable
            | Self::SourceUnavailable
            | Self::SourceLost
            | Self::CannotConnectNow
            | Self::AdminShutdown => GrpcStatus::Unavailable,
            // An unknown outcome must not look like one that may be tried again: it may have been stored.
            Self::StatementOutcomeUnknown
            | Self::TransactionOutcomeUnknown
            | Self::ExternalRoutineException
            | Self::SourceError
            | Self::Internal => GrpcStatus::Internal,
        }
    }

    /// HTTP status of the REST door.
    #[must_use]
    pub const fn http(self) -> u16 {
        match (self, self.grpc()) {
            // More than a bound that stays what it is: another try gets the same answer.
            (Self::ProgramLimitExceeded | Self::TooManyColumns, _) => 413,
            // Neither the client's fault nor the gate's: an operator sets the source right.
            (Self::SourceError, _) | (_, GrpcStatus::Unavailable) => 503,
            (_, GrpcStatus::Cancelled) => 499,
            (_, GrpcStatus::InvalidArgument | GrpcStatus::OutOfRange | GrpcStatus::FailedPrecondition) => 400,
            (_, GrpcStatus::DeadlineExceeded) => 504,
            (_, GrpcStatus::NotFound) => 404,
            (_, GrpcStatus::AlreadyExists) => 409,
            (_, GrpcStatus::PermissionDenied) => 403,
            (_, GrpcStatus::ResourceExhausted) => 429,
            (_, GrpcStatus::Unimplemented) => 501,
            (_, GrpcStatus::Internal) => 500,
            (_, GrpcStatus::Unauthenticated) => 401,
        }
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn retry(self) -> RetryClass {
        if matches!(self, Self::ProgramLimitExceeded | Self::TooManyColumns) {
            return RetryClass::Never;
        }
        match self.grpc() {
            GrpcStatus::ResourceExhausted | GrpcStatus::Unavailable | GrpcStatus::DeadlineExceeded => RetryClass::Later,
            GrpcStatus::Cancelled
            | GrpcStatus::InvalidArgument
            | GrpcStatus::OutOfRange
            | GrpcStatus::NotFound
            | GrpcStatus::AlreadyExists
            | GrpcStatus::PermissionDenied
            | GrpcStatus::FailedPrecondition
            | GrpcStatus::Unimplemented
            | GrpcStatus::Internal
            | GrpcStatus::Unauthenticated => RetryClass::Never,
        }
    }

    /// Whether the message may be shown to a client as it is.
    #[must_use]
    pub const fn audience(self) -> Audience {
        if matches!(self, Self::Internal) { Audience::Internal } else { Audience::Client }
    }
}

#[cfg(test)]
mod tests;
