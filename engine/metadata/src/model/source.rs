//! Datasources and routing rules as declared. Opens nothing.

use super::Location;
use serde::{Deserialize, Serialize};

/// `schemaMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SchemaMode {
    Managed,
    External,
    ValidateOnly,
}

/// `external.validation.onMismatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OnMismatch {
    Fail,
    Warn,
    Ignore,
}

/// A datasource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datasource {
    pub name: String,
    pub label: String,
    /// Driver's name: memory, sqlite, postgres, mysql, mongodb, ... Closed by the gateway, not here.
    pub driver: String,
    /// Driver's own settings, checked by the driver.
    pub config: serde_json::Value,
    pub pool_min: u32,
    pub pool_max: u32,
    pub active: bool,
    pub schema_mode: SchemaMode,
    /// `external.allowWrites`.
    pub allow_writes: bool,
    /// `external.allowedSchemas`; `None` allows all.
    pub allowed_schemas: Option<Vec<String>>,
    pub on_mismatch: OnMismatch,
    pub check_on_boot: bool,
    /// Milliseconds.
    pub query_timeout_ms: u64,
    pub credentials_ref: Option<String>,
    pub package: Option<String>,
    #[serde(skip)]
    pub location: Location,
}

/// A rule of `datasourceMapping`. All criteria that are present must match; lower priority wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingRule {
    pub namespace: Option<String>,
    pub package: Option<String>,
    /// Glob with `*` and `?` over object names.
    pub object_pattern: Option<String>,
    /// Matches every object.
    pub is_default: bool,
    pub datasource: String,
    pub priority: i64,
}
