//! What a table's files tell of their layout: bounds, sample and sizes, as places and never as values.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::*;
use querygate_driver_api::layout::FileLayout;
use querygate_files::{FileFormat, TableSpec};

async fn study(root: &std::path::Path, spec: &TableSpec, compared: &[&str]) -> Option<FileLayout> {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let table = source(root).table(spec).await.unwrap();
    table.study(&own(&["id", "name", "v"]), &own(compared)).await.unwrap()
}

#[tokio::test]
async fn row_groups_have_bounds_and_the_sample_has_places_in_the_same_order() {
    let dir = tempfile::tempdir().unwrap();
    write_parquet(&dir.path().join("t/a.parquet"), &rows(0, 20_000), 5_000);
    write_parquet(&dir.path().join("t/b.parquet"), &rows(20_000, 40_000), 5_000);
    let spec = spec("t", FileFormat::Parquet, base_schema());
    let layout = study(dir.path(), &spec, &["id", "name"]).await.unwrap();
    assert_eq!((layout.files, layout.rows, layout.groups.len()), (2, 40_000.0, 8));
    assert_eq!((layout.pattern.as_str(), layout.columns.len()), ("t", 3));
    assert!(layout.sample.len() >= 4_000 && layout.sample.len() <= 8_192, "{}", layout.sample.len());
    let [id, name, v] = &layout.columns[..] else { panic!() };
    assert!(id.ordered && name.ordered && !v.ordered);
    assert!(id.bloom && !id.folder && id.bytes > 0.0 && id.bytes + name.bytes + v.bytes <= layout.bytes);
    assert!((39_000.0..=40_000.0).contains(&id.distinct), "{}", id.distinct);
    assert!((5.0..=10.0).contains(&name.distinct), "{}", name.distinct);
    // Groups of a sorted column follow each other; those of an unsorted one are all alike.
    let bounds = |column: usize| layout.groups.iter().map(move |group| group.bounds[column].unwrap());
    assert!(bounds(0).zip(bounds(0).skip(1)).all(|(one, next)| one.1 < next.0));
    assert!(bounds(1).all(|one| Some(one) == layout.groups[0].bounds[1]));
    let within = |at: u32| bounds(0).filter(|(low, high)| (*low..=*high).contains(&at)).count();
    assert!(layout.sample.iter().all(|row| within(row[0].unwrap()) == 1 && row[2].is_none()));
    assert!(layout.sample.iter().any(|row| row[1].is_none()), "a NULL has no place");
}

#[tokio::test]
async fn folders_are_columns_too_and_other_formats_tell_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["n1", "n2"] {
        write_parquet(&dir.path().join(format!("t/name={name}/a.parquet")), &rows(0, 3_000), 1_000);
    }
    let parquet = spec("t", FileFormat::Parquet, base_schema());
    let layout = study(dir.path(), &parquet, &["id", "name"]).await.unwrap();
    let name = &layout.columns[1];
    assert!(name.folder && name.ordered && !name.bloom);
    let first = layout.groups[0].bounds[1].unwrap();
    assert!(first.0 == first.1 && layout.groups[3].bounds[1].unwrap().0 > first.1);
    let before = layout.version;
    write_parquet(&dir.path().join("t/name=n2/a.parquet"), &rows(0, 3_001), 1_000);
    assert_ne!(study(dir.path(), &parquet, &["id"]).await.unwrap().version, before);

    write_text(&dir.path().join("c.csv"), "id,name,v\n1,a,2\n");
    let csv = spec("c.csv", FileFormat::Csv(querygate_files::CsvOptions::default()), base_schema());
    assert!(study(dir.path(), &csv, &["id"]).await.is_none());
}
