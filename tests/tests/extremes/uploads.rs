//! Rows that a client uploads: in a message they may share one long value by the thousand.

use super::process::Process;
use super::{ALLOCATOR, FOUND_MAX, MEMORY};
use arrow::array::Int32Array;
use arrow::array::types::{Int16Type, Int32Type};
use arrow::array::{
    ArrayRef, DictionaryArray, Int16Array, ListArray, RecordBatch, RunArray, StringArray, StringViewArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};

use futures::stream;
use querygate_tests::server::{Variant, runtime};
use std::sync::Arc;
use tonic::transport::Endpoint;

/// Long values in each layout that lets them share their room.
fn layouts() -> Vec<(&'static str, ArrayRef)> {
    let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20)]));
    let keys = || Int16Array::from(vec![0; 1_500]);
    let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int16Type>::try_new(keys(), Arc::clone(&long)).unwrap());
    let views =
        StringViewArray::from_iter_values([long.as_ref().as_any().downcast_ref::<StringArray>().unwrap().value(0)]);
    let view = views.views()[0];
    let shared = StringViewArray::try_new(vec![view; 1_500].into(), views.data_buffers().to_vec(), None).unwrap();
    let ends = Int32Array::from(vec![1_500]);
    let runs: ArrayRef = Arc::new(RunArray::<Int32Type>::try_new(&ends, &long).unwrap());
    let item = Arc::new(Field::new("item", dictionary.data_type().clone(), true));
    let list = ListArray::new(item, OffsetBuffer::from_lengths([1_500]), Arc::clone(&dictionary), None);
    vec![("a dictionary", dictionary), ("views", Arc::new(shared)), ("runs", runs), ("a list", Arc::new(list))]
}

#[test]
fn values_that_share_their_room_stay_within_their_bounds() {
    let variant = Variant::new(|config| {
        config.replace("memory_per_query = \"512MB\"", &format!("memory_per_query = \"{}MB\"", MEMORY >> 20))
    });
    let server = variant.serve_by(&ALLOCATOR);
    let process = Process::of(server.pid);
    runtime().block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{}", server.flight)).unwrap();
        let mut client = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
        let token = client.handshake("sam", "demo-sam").await.unwrap();
        client.set_token(String::from_utf8(token.to_vec()).unwrap());
        client.execute_update("CREATE TEMPORARY TABLE uploads (id text)".to_owned(), None).await.unwrap();
        for (layout, texts) in layouts() {
            assert_ne!(texts.data_type(), &DataType::Utf8);
            let rows = RecordBatch::try_from_iter([("id", texts)]).unwrap();
            let command = CommandStatementIngest {
                table_definition_options: Some(TableDefinitionOptions {
                    if_not_exist: TableNotExistOption::Fail.into(),
                    if_exists: TableExistsOption::Append.into(),
                }),
                table: "uploads".to_owned(),
                ..CommandStatementIngest::default()
            };
            process.begin();
            let stored = client.execute_ingest(command, stream::iter([Ok(rows)])).await;
            let grown = process.grown();
            eprintln!("{layout}: {} MB, {:?}", grown >> 20, stored.as_ref().map_err(ToString::to_string));
            assert!(grown <= FOUND_MAX, "{layout}: {} MB, {stored:?}", grown >> 20);
        }
    });
}
