//! Scans of tables that hold plans or expressions. Knows no table.

/// Inside of an `impl TableProvider`: the scan, which the named method makes: `fn(&self, &dyn Session, Option<&Vec<usize>>, &[Expr],
/// Option<usize>) -> BoxFuture<Result<Arc<dyn ExecutionPlan>>>`, all of one lifetime. The trait is written with `async_trait`, whose
/// bounds make the compiler look through all types of plans for what is `Send` in each method that has a body under them
/// (`engine/docs/decisions`); here is none.
#[macro_export]
macro_rules! boxed_scan {
    ($scan:ident) => {
        fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
            &'life0 self,
            state: &'life1 dyn ::datafusion::catalog::Session,
            projection: ::std::option::Option<&'life2 ::std::vec::Vec<usize>>,
            filters: &'life3 [::datafusion::logical_expr::Expr],
            limit: ::std::option::Option<usize>,
        ) -> ::std::pin::Pin<
            ::std::boxed::Box<
                dyn ::std::future::Future<
                        Output = ::datafusion::common::Result<
                            ::std::sync::Arc<dyn ::datafusion::physical_plan::ExecutionPlan>,
                        >,
                    > + ::std::marker::Send
                    + 'async_trait,
            >,
        >
        where
            'life0: 'async_trait,
            'life1: 'async_trait,
            'life2: 'async_trait,
            'life3: 'async_trait,
            Self: 'async_trait,
        {
            self.$scan(state, projection, filters, limit)
        }
    };
}
