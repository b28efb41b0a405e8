//! Plans over several sources: which parts become leaves, and what the receipts say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod support;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use querygate_rules::{Disposition, LeafBuilder, Translation, carve};
use querygate_types::{Error, Result};
use std::cell::RefCell;
use std::sync::Arc;
use support::tables::Opener;
use support::{bind, golden, print, statements};

/// Makes scans of empty tables and keeps what it was given.
#[derive(Default)]
struct Builder(RefCell<Vec<Translation>>);

impl LeafBuilder for Builder {
    fn leaf(&self, translation: Translation) -> Result<LogicalPlan> {
        let number = self.0.borrow().len();
        let fields = translation.schema.fields().iter().enumerate();
        let fields: Vec<_> =
            fields.map(|(i, field)| Field::new(format!("f{i}"), field.data_type().clone(), true)).collect();
        let table = MemTable::try_new(Arc::new(Schema::new(fields)), vec![vec![]]).map_err(Error::internal)?;
        self.0.borrow_mut().push(translation);
        let name = format!("fragment{number}");
        LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)
            .and_then(LogicalPlanBuilder::build)
            .map_err(Error::internal)
    }
}

#[tokio::test]
async fn the_largest_parts_of_one_source_become_leaves() {
    let mut actual = String::new();
    for sql in statements("carved.sql") {
        let builder = Builder::default();
        let plan = bind(&sql).await;
        let context = SimplifyContext::builder().build();
        let carved = carve(&plan, &Opener, &builder, &context)
            .unwrap_or_else(|error| panic!("{sql}: {error} {:?}", error.cause()));
        assert_eq!(carved.plan.schema().as_arrow().fields().len(), plan.schema().as_arrow().fields().len());
        for (a, b) in carved.plan.schema().iter().zip(plan.schema().iter()) {
            assert_eq!((a.0, a.1.name()), (b.0, b.1.name()), "{sql}");
        }
        // The engine can plan what is left.
        support::tables::context().state().create_physical_plan(&carved.plan).await.unwrap_or_else(|error| {
            panic!("{sql}: {error}\n{}", carved.plan.display_indent());
        });
        actual.push_str(&format!("{sql}\n=>\n{}\n", carved.plan.display_indent()));
        for (number, translation) in builder.0.borrow().iter().enumerate() {
            actual.push_str(&format!(
                "fragment{number} in {}: {}",
                translation.source,
                print::translation(translation)
            ));
        }
        for receipt in carved.receipts.with_reasons(&Opener, &context) {
            actual.push_str(&receipt.to_string());
        }
        actual.push('\n');
    }
    golden("carved.txt", &actual);
}

#[tokio::test]
async fn receipts_hold_no_value() {
    let sql = "select name || 'secret1', sum(a + 424242) from r where name like 'secret2%' and a in (424242, 424243) \
               and b = (select max(b) from u where note = 'secret3') \
               group by name || 'secret1' having sum(a + 424242) > 424244 order by name || 'secret1' limit 424245";
    let context = SimplifyContext::builder().build();
    let carved = carve(&bind(sql).await, &Opener, &Builder::default(), &context).unwrap();
    let carved = carved.receipts.with_reasons(&Opener, &context);
    let kept = "select md5(u.name || 'secret4'), o.id from u join o on u.id = o.id and u.a + 424246 > o.a \
                where md5(u.name) = 'secret5'";
    let kept = carve(&bind(kept).await, &Opener, &Builder::default(), &context).unwrap();
    let kept = kept.receipts.with_reasons(&Opener, &context);
    for receipt in carved.iter().chain(&kept) {
        let text = receipt.to_string();
        assert!(!text.contains("secret") && !text.contains("4242"), "{text}");
    }
    assert!(carved[0].lines.iter().any(|line| line.disposition == Disposition::Fenced));
    assert!(kept.iter().all(|receipt| receipt.source.is_none()));
}

#[tokio::test]
async fn of_conditions_that_leaves_took_no_reason_is_told() {
    let context = SimplifyContext::builder().build();
    let sql = "select x.id from (select id from u where b > 7 and b < 9) x join o on x.id = o.id";
    let receipts = carve(&bind(sql).await, &Opener, &Builder::default(), &context).unwrap().receipts;
    let filters = |receipts: Vec<querygate_rules::Receipt>| {
        let lines = receipts.into_iter().flat_map(|receipt| receipt.lines);
        lines.filter(|line| line.subject.starts_with("filter ")).count()
    };
    // The source takes both.
    assert_eq!((filters(receipts.clone().with_reasons(&Opener, &context)), filters(receipts.all_taken())), (0, 2));
}
