//! Joins above a leaf with rows that the gate sends along, in a closed form: each row of the leaf meets those that match.

use super::expression::{Closing, Expression, Opening, Sent, number, wrong};
use super::tables::schema_bytes;
use crate::pieces::pieces;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of the rows that travel with each part of a stage.
pub(crate) const SIDES_BYTES_MAX: usize = 2 << 20;

const OTHER: &str = "a join above it has no form that workers are sent";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Joining {
    /// Which of the rows that are sent along.
    side: u32,
    /// Their columns.
    fields: Vec<u32>,
    on: Vec<(Expression, Expression)>,
    kind: Kind,
    condition: Option<Condition>,
    columns: Option<Vec<u32>>,
    nulls_meet: bool,
}

/// Joins of which each row of the leaf decides by itself what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Inner,
    Right,
    RightSemi,
    RightAnti,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Condition {
    holds: Expression,
    /// Its columns: whether of the rows that are sent along, and where.
    places: Vec<(bool, u32)>,
    fields: Vec<u32>,
}

impl Kind {
    fn of(kind: JoinType) -> Option<Self> {
        match kind {
            JoinType::Inner => Some(Self::Inner),
            JoinType::Right => Some(Self::Right),
            JoinType::RightSemi => Some(Self::RightSemi),
            JoinType::RightAnti => Some(Self::RightAnti),
            JoinType::Left
            | JoinType::Full
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
            | JoinType::RightMark => None,
        }
    }

    const fn join(self) -> JoinType {
        match self {
            Self::Inner => JoinType::Inner,
            Self::Right => JoinType::Right,
            Self::RightSemi => JoinType::RightSemi,
            Self::RightAnti => JoinType::RightAnti,
        }
    }
}

/// Whether a join has a form at all.
pub(crate) fn is_sent(join: &HashJoinExec) -> bool {
    let divided = match join.partition_mode() {
        PartitionMode::CollectLeft | PartitionMode::Partitioned => true,
        PartitionMode::Auto => false,
    };
    divided && Kind::of(*join.join_type()).is_some() && !join.null_aware && join.fetch().is_none()
}

impl Joining {
    pub(super) fn of(join: &HashJoinExec, side: u32, closing: &mut Closing) -> Sent<Self> {
        if !is_sent(join) {
            return Err(OTHER);
        }
        let fields = |closing: &mut Closing, schema: &Schema| {
            schema.fields().iter().map(|field| closing.field(field)).collect::<Sent<Vec<_>>>()
        };
        let on = join.on().iter().map(|(left, right)| Ok((closing.closed(left)?, closing.closed(right)?)));
        let on = on.collect::<Sent<_>>()?;
        let condition = join.filter().map(|filter| {
            let places = filter.column_indices().iter().map(|column| match column.side {
                JoinSide::Left => Ok((true, number(column.index)?)),
                JoinSide::Right => Ok((false, number(column.index)?)),
                JoinSide::None => Err(OTHER),
            });
            let places = places.collect::<Sent<_>>()?;
            let holds = closing.closed(filter.expression())?;
            Sent::Ok(Condition { holds, places, fields: fields(closing, filter.schema())? })
        });
        let condition: Option<Condition> = condition.transpose()?;
        let columns = join.projection.as_ref();
        let columns = columns.map(|columns| columns.iter().map(|column| number(*column)).collect::<Sent<_>>());
        Ok(Self {
            side,
            fields: fields(closing, &join.left().schema())?,
            on,
            kind: Kind::of(*join.join_type()).ok_or(OTHER)?,
            condition,
            columns: columns.transpose()?,
            nulls_meet: join.null_equality() == NullEquality::NullEqualsNull,
        })
    }

    pub(super) fn over(
        &self,
        below: Arc<dyn ExecutionPlan>,
        opening: &Opening,
        sides: &[Arc<Vec<u8>>],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bytes = usize::try_from(self.side).ok().and_then(|side| sides.get(side));
        let bytes = bytes.ok_or_else(|| Error::internal("a part lacks the rows of a join"))?;
        let schema = of_fields(opening, &self.fields)?;
        let rows = rows_of(bytes, &schema)?;
        let left = MemorySourceConfig::try_new_exec(&[rows], Arc::clone(&schema), None).map_err(wrong)?;
        let on = self
            .on
            .iter()
            .map(|(left, right)| Ok((opening.opened(left, &schema)?, opening.opened(right, &below.schema())?)));
        let on = on.collect::<Result<Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>>>()?;
        let filter = self.condition.as_ref().map(|condition| condition.opened(opening)).transpose()?;
        let places = |columns: &Vec<u32>| columns.iter().map(|column| usize::try_from(*column)).collect();
        let columns = self.columns.as_ref().map(places).transpose().map_err(Error::internal)?;
        let nulls = if self.nulls_meet { NullEquality::NullEqualsNull } else { NullEquality::NullEqualsNothing };
        let (kind, mode) = (self.kind.join(), PartitionMode::CollectLeft);
        let join = HashJoinExec::try_new(left, below, on, filter, &kind, columns, mode, nulls, false);
        Ok(Arc::new(join.map_err(wrong)?))
    }
}

impl Condition {
    fn opened(&self, opening: &Opening) -> Result<JoinFilter> {
        let schema = of_fields(opening, &self.fields)?;
        let place = |(left, index): &(bool, u32)| {
            let side = if *left { JoinSide::Left } else { JoinSide::Right };
            Ok(ColumnIndex { index: usize::try_from(*index).map_err(Error::internal)?, side })
        };
        let places = self.places.iter().map(place).collect::<Result<Vec<_>>>()?;
        Ok(JoinFilter::new(opening.opened(&self.holds, &schema)?, places, schema))
    }
}

fn of_fields(opening: &Opening, fields: &[u32]) -> Result<SchemaRef> {
    let fields = fields.iter().map(|field| opening.field(*field).cloned()).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// The rows of these bytes.
fn rows_of(bytes: &[u8], schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let batches = StreamReader::try_new(bytes, None).map_err(Error::internal)?;
    let batch = |batch: std::result::Result<RecordBatch, arrow::error::ArrowError>| {
        let batch = batch.map_err(Error::internal)?;
        let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
            .map_err(|error| Error::internal(format!("the rows of a join have other columns: {error}")))
    };
    batches.map(batch).collect()
}

/// No row of a schema, as it travels.
pub(super) fn no_rows(schema: &Schema) -> Sent<Arc<Vec<u8>>> {
    schema_bytes(schema).map(Arc::new).map_err(|_| OTHER)
}

/// Rows on their way into a part.
pub(crate) struct SideWriter(StreamWriter<Vec<u8>>);

impl SideWriter {
    pub(crate) fn new(schema: &Schema) -> Result<Self> {
        StreamWriter::try_new(Vec::new(), schema).map(Self).map_err(Error::internal)
    }

    /// Adds rows until there are more bytes than `most`; gives the bytes so far.
    pub(crate) fn add(&mut self, batch: RecordBatch, most: usize) -> Result<usize> {
        for piece in pieces(batch) {
            self.0.write(&piece?).map_err(Error::internal)?;
            if self.0.get_ref().len() > most {
                break;
            }
        }
        Ok(self.0.get_ref().len())
    }

    pub(crate) fn bytes(mut self) -> Result<Vec<u8>> {
        self.0.finish().map_err(Error::internal)?;
        self.0.into_inner().map_err(Error::internal)
    }
}
