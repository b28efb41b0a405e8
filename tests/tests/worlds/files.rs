//! Folders of files as they lie about.

use super::cell::Cell;
use super::csv::{Dialect, Table, cells};
use super::world::{Column, Fate, Made, World};
use super::{json_files, names, parquet_files};
use querygate_tests::harness::Rng;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) fn world(rng: &mut Rng) -> World {
    let mut world = World::new(&["init", "data"]);
    world.source.remove(0);
    let folder = world.folder.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    let mut taken = Vec::new();
    // At least one is a table whatever befalls the others.
    world.made.push(texts(rng, &folder, "sound"));
    for number in 0..rng.between(5, 9) {
        let name = names::name(rng, &format!("t{number}"), &mut taken, &['/', '\u{0}']);
        if rng.percent(8) {
            let made = of_several_kinds(&folder, &name);
            world.made.extend(made);
            continue;
        }
        let made = match rng.below(16) {
            0..=3 => texts(rng, &folder, &name),
            4 => drifting_texts(rng, &folder, &name),
            5 => in_folders(rng, &folder, &name),
            6..=8 => json_files::one(rng, &folder, &name),
            9 => json_files::several(rng, &folder, &name),
            10 | 11 => parquet_files::one(rng, &folder, &name),
            12 | 13 => parquet_files::drifting(rng, &folder, &name),
            14 => nothing(rng, &folder, &name),
            _ => broken(rng, &folder, &name),
        };
        world.made.push(made);
    }
    world
}

/// A name as it stands in patterns.
pub(crate) fn pattern(name: &str) -> String {
    name.replace('[', "\u{0}").replace('*', "[*]").replace('?', "[?]").replace('\u{0}', "[[]")
}

/// Writes a file, packed as its name says.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
    let packer = match ending.as_str() {
        "gz" => "gzip",
        "zst" => "zstd",
        _ => return std::fs::write(path, bytes).unwrap(),
    };
    let plain = path.with_extension("plain");
    std::fs::write(&plain, bytes).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut packer = Command::new(packer);
    packer.args(["-c", "-q"]).stdin(std::fs::File::open(&plain).unwrap()).stdout(Stdio::from(file));
    assert!(packer.status().unwrap().success());
    std::fs::remove_file(plain).unwrap();
}

/// Endings of texts, and the delimiters that they may have.
fn ending(rng: &mut Rng) -> (&'static str, &'static [char]) {
    match rng.below(8) {
        0 | 1 => ("tsv", &['\t']),
        2 => ("csv.gz", &[',', ';']),
        3 => ("csv.zst", &[',', '\t']),
        _ => ("csv", &[',', ',', ';', '\t', '|']),
    }
}

fn texts(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let (ending, delimiters) = ending(rng);
    let mut table = Table::random(rng, name == "sound");
    let dialect = Dialect::random(rng, delimiters, table.header.len());
    table.kept(&dialect);
    let count = if dialect.header && !dialect.has_apostrophes() { rng.below(12) } else { rng.between(2, 12) };
    let mut rows: Vec<Vec<String>> = (0..count).map(|_| table.row(rng, &dialect)).collect();
    if !dialect.header {
        same_kinds(&mut rows, rng, &table);
    }
    let file = format!("{name}.{ending}");
    write(&folder.join(&file), &dialect.bytes(dialect.header.then_some(&table.header), &rows));
    let rows = rows.iter().map(|row| cells(row)).collect();
    Made { remote: pattern(&file), columns: table.columns, rows, fate: Fate::Served }
}

/// Where there is no header, a first row of words over numbers looks like one: here it has numbers alone, or words in all rows.
fn same_kinds(rows: &mut [Vec<String>], rng: &mut Rng, table: &Table) {
    for at in 1..table.header.len() {
        let is_text = |text: &str| text.is_empty() || text.parse::<f64>().is_err();
        if rows.iter().any(|row| is_text(&row[at])) {
            rows.iter_mut()
                .for_each(|row| row[at] = names::one(rng, &["north", "south", "blue moon", "x", "a_b"]).to_owned());
        }
    }
}

/// Files that differ in the order of their columns, their case, and what they lack.
fn drifting_texts(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let mut table = Table::random(rng, true);
    let mut dialect = Dialect::random(rng, &[',', ';'], table.header.len());
    dialect.header = true;
    table.kept(&dialect);
    table.header = table.columns.iter().map(|column| column.name.clone()).collect();
    let mut all = Vec::new();
    for file in 0..rng.between(2, 4) {
        let mut places: Vec<usize> = (0..table.header.len()).collect();
        if file > 0 {
            rng.shuffle(&mut places);
            if rng.percent(50) {
                places.retain(|place| *place == 0 || !rng.percent(30));
            }
        }
        let upper = file > 0 && rng.percent(30);
        let called = |place: &usize| {
            let name = &table.header[*place];
            if upper && name.is_ascii() { name.to_ascii_uppercase() } else { name.clone() }
        };
        let header: Vec<String> = places.iter().map(called).collect();
        let rows: Vec<Vec<String>> = (0..rng.below(6)).map(|_| table.row(rng, &dialect)).collect();
        let written: Vec<Vec<String>> =
            rows.iter().map(|row| places.iter().map(|place| row[*place].clone()).collect()).collect();
        write(&folder.join(name).join(format!("part{file}.csv")), &dialect.bytes(Some(&header), &written));
        let field =
            |row: &Vec<String>, at: usize| if places.contains(&at) { Cell::Field(row[at].clone()) } else { Cell::Null };
        all.extend(rows.iter().map(|row| (0..row.len()).map(|at| field(row, at)).collect::<Vec<_>>()));
    }
    // Each file is in an encoding of its own where only some have letters that are not ASCII.
    let fate = if dialect.is_latin() { Fate::MayBeLeftOut("files of two encodings") } else { Fate::Served };
    Made { remote: pattern(name), columns: table.columns, rows: all, fate }
}

/// Folders whose names are columns.
fn in_folders(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let keys =
        [("year", vec!["2024", "2025", "__HIVE_DEFAULT_PARTITION__"]), ("region", vec!["eu", "a%20b", "01", "é"])];
    let mut all = Vec::new();
    for part in 0..rng.between(2, 4) {
        let mut path = folder.join(name);
        let mut values = Vec::new();
        for (key, choice) in &keys {
            let value = *rng.pick(choice);
            path.push(format!("{key}={value}"));
            values.push(match value {
                "__HIVE_DEFAULT_PARTITION__" => Cell::Null,
                "a%20b" => Cell::text("a b"),
                value => Cell::Field(value.to_owned()),
            });
        }
        let count = rng.between(1, 4);
        let numbers: Vec<usize> = (0..count).map(|_| rng.below(1000)).collect();
        let text: String = numbers.iter().map(|number| format!("{number}\n")).collect();
        write(&path.join(format!("f{part}.csv")), format!("v\n{text}").as_bytes());
        let row = |number: &usize| [vec![Cell::Number(number.to_string())], values.clone()].concat();
        all.extend(numbers.iter().map(row));
    }
    let columns = ["v", "year", "region"].map(Column::of).to_vec();
    Made { remote: pattern(name), columns, rows: all, fate: Fate::Served }
}

/// A folder with what is none of its table.
fn of_several_kinds(folder: &Path, name: &str) -> Vec<Made> {
    let inside = folder.join(name);
    write(&inside.join("a.ndjson"), b"{\"id\": 1}\n");
    write(&inside.join("b.parquet"), b"of another kind");
    write(&inside.join("deep/c.ndjson"), b"{\"id\": 2}\n");
    write(&inside.join("notes.md"), b"# words");
    write(&inside.join("z.csv.gz"), b"id\n5\n");
    let rows = ["1", "2"].map(|number| vec![Cell::Json(number.to_owned())]).to_vec();
    let table = Made { remote: pattern(name), columns: vec![Column::of("id")], rows, fate: Fate::Served };
    let other = |file: &str| Made::none(format!("{name}/{file}"), "a file of another kind than its folder's");
    vec![table, other("b.parquet"), other("notes.md"), other("z.csv.gz")]
}

/// What holds nothing.
fn nothing(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let (ending, text) = *rng.pick(&[
        ("csv", ""),
        ("csv", "\n\n"),
        ("ndjson", ""),
        ("ndjson", "\n"),
        ("json", "[]"),
        ("json", "{}"),
        ("tsv", "\u{feff}"),
        ("parquet", ""),
    ]);
    let file = format!("{name}.{ending}");
    write(&folder.join(&file), text.as_bytes());
    Made::none(pattern(&file), "it holds nothing")
}

/// What is no table, or is broken.
fn broken(rng: &mut Rng, folder: &Path, name: &str) -> Made {
    let file = |ending: &str| format!("{name}.{ending}");
    let (file, bytes, why): (String, &[u8], &'static str) = match rng.below(9) {
        0 => (format!("{name}/_delta_log/0.json"), b"{}", "a lake"),
        1 => (format!("{name}/metadata/v1.metadata.json"), b"{}", "a lake"),
        2 => (format!("{name}/.hoodie/a.json"), b"{}", "a lake"),
        3 => (file("md"), b"# words", "no table"),
        4 => (file("csv"), b"a,b\n1,2\n1,2,3\n", "rows of several widths"),
        5 => (file("parquet"), b"PAR1 is not enough", "a broken file"),
        6 => (file("ndjson"), b"{\"a\": 1}\n{\"a\": \n", "a broken file"),
        7 => (file("json"), b"[{\"a\": 1}, 5]", "a list of other things"),
        _ => (file("csv.gz"), b"not packed", "a broken file"),
    };
    if ["csv.gz"].iter().any(|ending| file.ends_with(ending)) {
        std::fs::write(folder.join(&file), bytes).unwrap();
    } else {
        write(&folder.join(&file), bytes);
    }
    if why == "a lake" {
        write(&folder.join(name).join("part.ndjson"), b"{\"id\": 1}\n");
        return Made::none(pattern(name), why);
    }
    Made::none(pattern(&file), why)
}
