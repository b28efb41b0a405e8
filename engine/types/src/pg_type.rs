//! The Postgres types that Querygate puts on the wire and into `pg_catalog`: one closed list with PostgreSQL's own numbers.

/// PostgreSQL `typcategory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as PostgreSQL's categories")]
pub enum TypeCategory {
    Array,
    Boolean,
    BitString,
    DateTime,
    Network,
    Numeric,
    String,
    Timespan,
    UserDefined,
    Internal,
    Pseudo,
}

macro_rules! pg_types {
    ($($variant:ident, $oid:literal, $name:literal, $len:literal, $category:ident, $array:literal;)*) => {
        /// A Postgres type. Array types are their own variants, as in `pg_type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "named as in `pg_type`")]
        pub enum PgType { $($variant,)* }

        impl PgType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// `pg_type.oid`.
            #[must_use]
            pub const fn oid(self) -> u32 { match self { $(Self::$variant => $oid,)* } }
            /// `pg_type.typname`.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
            /// `pg_type.typlen`, −1 for variable length.
            #[must_use]
            pub const fn type_length(self) -> i16 { match self { $(Self::$variant => $len,)* } }
            /// `pg_type.typcategory`.
            #[must_use]
            pub const fn category(self) -> TypeCategory { match self { $(Self::$variant => TypeCategory::$category,)* } }
            /// Oid of the type's array type, 0 for none (and for arrays themselves).
            #[must_use]
            pub const fn array_oid(self) -> u32 { match self { $(Self::$variant => $array,)* } }
            /// The type with this oid.
            #[must_use]
            pub const fn from_oid(oid: u32) -> Option<Self> { match oid { $($oid => Some(Self::$variant),)* _ => None } }
            /// The type with this `typname`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> { match name { $($name => Some(Self::$variant),)* _ => None } }
        }
    };
}

pg_types! {
    Bool, 16, "bool", 1, Boolean, 1000;
    Bytea, 17, "bytea", -1, UserDefined, 1001;
    Char, 18, "char", 1, Internal, 1002;
    Name, 19, "name", 64, String, 1003;
    Int8, 20, "int8", 8, Numeric, 1016;
    Int2, 21, "int2", 2, Numeric, 1005;
    Int2Vector, 22, "int2vector", -1, Array, 1006;
    Int4, 23, "int4", 4, Numeric, 1007;
    Regproc, 24, "regproc", 4, Numeric, 1008;
    Text, 25, "text", -1, String, 1009;
    Oid, 26, "oid", 4, Numeric, 1028;
    Xid, 28, "xid", 4, UserDefined, 1011;
    OidVector, 30, "oidvector", -1, Array, 1013;
    Json, 114, "json", -1, UserDefined, 199;
    PgNodeTree, 194, "pg_node_tree", -1, Internal, 0;
    Cidr, 650, "cidr", -1, Network, 651;
    Float4, 700, "float4", 4, Numeric, 1021;
    Float8, 701, "float8", 8, Numeric, 1022;
    Unknown, 705, "unknown", -2, Pseudo, 0;
    Macaddr8, 774, "macaddr8", 8, UserDefined, 775;
    Macaddr, 829, "macaddr", 6, UserDefined, 1040;
    Inet, 869, "inet", -1, Network, 1041;
    AclItem, 1033, "aclitem", 12, UserDefined, 1034;
    Bpchar, 1042, "bpchar", -1, String, 1014;
    Varchar, 1043, "varchar", -1, String, 1015;
    Date, 1082, "date", 4, DateTime, 1182;
    Time, 1083, "time", 8, DateTime, 1183;
    Timestamp, 1114, "timestamp", 8, DateTime, 1115;
    Timestamptz, 1184, "timestamptz", 8, DateTime, 1185;
    Interval, 1186, "interval", 16, Timespan, 1187;
    Timetz, 1266, "timetz", 12, DateTime, 1270;
    Bit, 1560, "bit", -1, BitString, 1561;
    Varbit, 1562, "varbit", -1, BitString, 1563;
    Numeric, 1700, "numeric", -1, Numeric, 1231;
    Regprocedure, 2202, "regprocedure", 4, Numeric, 2207;
    Regoper, 2203, "regoper", 4, Numeric, 2208;
    Regoperator, 2204, "regoperator", 4, Numeric, 2209;
    Regclass, 2205, "regclass", 4, Numeric, 2210;
    Regtype, 2206, "regtype", 4, Numeric, 2211;
    Void, 2278, "void", 4, Pseudo, 0;
    Record, 2249, "record", -1, Pseudo, 2287;
    Uuid, 2950, "uuid", 16, UserDefined, 2951;
    Regconfig, 3734, "regconfig", 4, Numeric, 3735;
    Jsonb, 3802, "jsonb", -1, UserDefined, 3807;
    Regnamespace, 4089, "regnamespace", 4, Numeric, 4090;
    Regrole, 4096, "regrole", 4, Numeric, 4097;
    Regcollation, 4191, "regcollation", 4, Numeric, 4192;
    BoolArray, 1000, "_bool", -1, Array, 0;
    ByteaArray, 1001, "_bytea", -1, Array, 0;
    CharArray, 1002, "_char", -1, Array, 0;
    NameArray, 1003, "_name", -1, Array, 0;
    Int2Array, 1005, "_int2", -1, Array, 0;
    Int4Array, 1007, "_int4", -1, Array, 0;
    TextArray, 1009, "_text", -1, Array, 0;
    BpcharArray, 1014, "_bpchar", -1, Array, 0;
    VarcharArray, 1015, "_varchar", -1, Array, 0;
    Int8Array, 1016, "_int8", -1, Array, 0;
    Float4Array, 1021, "_float4", -1, Array, 0;
    Float8Array, 1022, "_float8", -1, Array, 0;
    OidArray, 1028, "_oid", -1, Array, 0;
    TimestampArray, 1115, "_timestamp", -1, Array, 0;
    DateArray, 1182, "_date", -1, Array, 0;
    TimeArray, 1183, "_time", -1, Array, 0;
    TimestamptzArray, 1185, "_timestamptz", -1, Array, 0;
    TimetzArray, 1270, "_timetz", -1, Array, 0;
    IntervalArray, 1187, "_interval", -1, Array, 0;
    AclItemArray, 1034, "_aclitem", -1, Array, 0;
    NumericArray, 1231, "_numeric", -1, Array, 0;
    JsonArray, 199, "_json", -1, Array, 0;
    UuidArray, 2951, "_uuid", -1, Array, 0;
    JsonbArray, 3807, "_jsonb", -1, Array, 0;
    CidrArray, 651, "_cidr", -1, Array, 0;
    Macaddr8Array, 775, "_macaddr8", -1, Array, 0;
    MacaddrArray, 1040, "_macaddr", -1, Array, 0;
    InetArray, 1041, "_inet", -1, Array, 0;
    BitArray, 1561, "_bit", -1, Array, 0;
    VarbitArray, 1563, "_varbit", -1, Array, 0;
    RecordArray, 2287, "_record", -1, Array, 0;
}

/// The types of object ids that print as names, as a pattern.
#[macro_export]
macro_rules! reg_types {
    () => {
        ($crate::PgType::Regproc
            | $crate::PgType::Regprocedure
            | $crate::PgType::Regoper
            | $crate::PgType::Regoperator
            | $crate::PgType::Regclass
            | $crate::PgType::Regtype
            | $crate::PgType::Regconfig
            | $crate::PgType::Regnamespace
            | $crate::PgType::Regrole
            | $crate::PgType::Regcollation)
    };
}

/// The array types that a value may have, as a pattern: a match over types stays exhaustive without a list of its own. Not among
/// them are the vectors, which are printed in another way, and arrays of records, which no client can send.
#[macro_export]
macro_rules! array_types {
    () => {
        ($crate::PgType::BoolArray
            | $crate::PgType::ByteaArray
            | $crate::PgType::CharArray
            | $crate::PgType::NameArray
            | $crate::PgType::Int2Array
            | $crate::PgType::Int4Array
            | $crate::PgType::TextArray
            | $crate::PgType::BpcharArray
            | $crate::PgType::VarcharArray
            | $crate::PgType::Int8Array
            | $crate::PgType::Float4Array
            | $crate::PgType::Float8Array
            | $crate::PgType::OidArray
            | $crate::PgType::TimestampArray
            | $crate::PgType::DateArray
            | $crate::PgType::TimeArray
            | $crate::PgType::TimestamptzArray
            | $crate::PgType::TimetzArray
            | $crate::PgType::IntervalArray
            | $crate::PgType::AclItemArray
            | $crate::PgType::NumericArray
            | $crate::PgType::JsonArray
            | $crate::PgType::UuidArray
            | $crate::PgType::JsonbArray
            | $crate::PgType::CidrArray
            | $crate::PgType::Macaddr8Array
            | $crate::PgType::MacaddrArray
            | $crate::PgType::InetArray
            | $crate::PgType::BitArray
            | $crate::PgType::VarbitArray)
    };
}

impl PgType {
    /// The array type over this type.
    #[must_use]
    pub const fn array(self) -> Option<Self> {
        match self.array_oid() {
            0 => None,
            oid => Self::from_oid(oid),
        }
    }

    /// The element type of an array type (of the vectors too).
    #[must_use]
    pub fn element(self) -> Option<Self> {
        match self {
            Self::Int2Vector => Some(Self::Int2),
            Self::OidVector => Some(Self::Oid),
            other => Self::ALL.iter().copied().find(|t| t.array_oid() == other.oid()),
        }
    }

    /// The name `format_type` prints without a modifier.
    #[must_use]
    pub fn sql_name(self) -> String {
        if let (true, Some(element)) = (self.name().starts_with('_'), self.element()) {
            return format!("{}[]", element.sql_name());
        }
        match self {
            Self::Bool => "boolean",
            Self::Char => "\"char\"",
            Self::Int8 => "bigint",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Bpchar => "character",
            Self::Varbit => "bit varying",
            Self::Varchar => "character varying",
            Self::Time => "time without time zone",
            Self::Timetz => "time with time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::Timestamptz => "timestamp with time zone",
            other => other.name(),
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unused_parens, reason = "the pattern stands in parentheses for its other uses")]
    fn arrays_and_elements_are_inverse() {
        for t in PgType::ALL {
            if let Some(array) = t.array() {
                assert_eq!(array.element(), Some(*t));
            }
            let is_listed = matches!(t, array_types!());
            let vectors = [PgType::Int2Vector, PgType::OidVector, PgType::RecordArray];
            assert_eq!(is_listed, t.category() == TypeCategory::Array && !vectors.contains(t), "{t:?}");
            assert_eq!(matches!(t, reg_types!()), t.name().starts_with("reg"), "{t:?}");
            assert!(!is_listed || t.element().is_some(), "{t:?}");
            assert_eq!(PgType::from_oid(t.oid()), Some(*t));
            assert_eq!(PgType::from_name(t.name()), Some(*t));
        }
    }
}
