//! What the writes that were seen have to do with what is suggested.

use super::{Bench, IndexAdvisor, Toy, advisor, cells, now, operator, runs, told};
use crate::plugin::Plugin;
use querygate_telemetry_api::system::SystemExtension;
use querygate_telemetry_api::{StatementRecord, TableWrites};

/// A statement that reads nothing and writes to the table.
fn wrote(inserted: u64, updated: (&str, u64)) -> StatementRecord {
    let writes = TableWrites {
        source: "crm".to_owned(),
        path: vec!["main".to_owned(), "t".to_owned()],
        inserted,
        deleted: 0,
        updated: updated.1,
        columns: [(updated.0.to_owned(), updated.1)].into(),
    };
    let read = runs("number", "one", 1, 1).remove(0);
    StatementRecord { fragments: Vec::new(), writes: vec![writes], ..read }
}

fn evidence(advisor: &IndexAdvisor) -> String {
    cells(advisor, "evidence").iter().map(|cell| format!("{cell:?}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_were_seen_are_what_an_index_is_priced_by() {
    let suggested =
        |bench: &Bench| bench.told().iter().any(|one| one.1 == "CREATE tenant number" && one.2 == "suggested");
    let bench = Bench::new(Toy::default(), true).await;
    bench.follow(&runs("number", "one", 40, 20)).await;
    bench.call("suggest_indexes", None).await.unwrap();
    assert!(suggested(&bench));
    assert!(evidence(&bench.advisor).contains("writes are assumed (one to ten reads): the gate saw none"));
    // In an hour, which is the least that is watched.
    bench.follow(&[wrote(5, ("number", 7)), wrote(0, ("state", 1_000_000_000))]).await;
    bench.call("suggest_indexes", None).await.unwrap();
    assert!(suggested(&bench), "a column that the index has not costs it nothing");
    let words = evidence(&bench.advisor);
    let seen = "as the gate saw them: 120.0 rows a day inserted or deleted, 168.0 updated in the index's columns";
    assert!(words.contains(seen) && !words.contains("assumed"), "{words}");
    // They outlive the gate.
    let again = advisor(&bench.toy, true);
    again.load(&bench.store).await.unwrap();
    again.follow(&[wrote(1_000_000_000, ("state", 0))], now(), &bench.store).await.unwrap();
    again.call("suggest_indexes", &[], &operator()).await.unwrap();
    let words = evidence(&again);
    assert!(words.contains("writing to it costs") && words.contains("168.0 updated in the index's columns"), "{words}");
    assert!(!told(&again).iter().any(|one| one.2 == "suggested" && one.1.starts_with("CREATE")));
}
