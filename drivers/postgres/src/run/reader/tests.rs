//! What a server says, in pieces of any size, and what becomes of it.

use super::*;
use crate::connect::loan::lend;
use crate::connect::socket::Stream;
use crate::run::charged::tests::Bounded;
use crate::wire::frames::tests::{described, parameters, said};
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use querygate_driver_api::execution::{NativeStatement, Room};
use querygate_driver_api::fragment::OutputColumn;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::Encoding;
use querygate_driver_api::value::{Value, ValueType};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

const SOURCE: &str = "shop";

fn uncharged() -> Charged {
    Charged::new(None, INPUT_BYTES).unwrap()
}

/// A reader of a server that sends these bytes in pieces of this length, and closes.
fn reader(bytes: Vec<u8>, at_once: usize) -> RowReader<'static> {
    charged_reader(bytes, at_once, uncharged())
}

fn charged_reader(bytes: Vec<u8>, at_once: usize, charged: Charged) -> RowReader<'static> {
    let (ours, theirs): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 20);
    let (mut hears, mut says) = tokio::io::split(theirs);
    tokio::spawn(async move {
        let mut heard = Vec::new();
        drop(hears.read_to_end(&mut heard).await);
    });
    tokio::spawn(async move {
        for piece in bytes.chunks(at_once) {
            says.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        says.shutdown().await.unwrap();
    });
    let (owner, _lent) = lend(Box::new(ours));
    RowReader::new(SOURCE, owner.borrow().unwrap(), charged)
}

/// Of one nullable integer.
fn decoder() -> Decoder {
    let output = OutputColumn { id: ColumnId(0), name: "a".into(), value_type: ValueType::Int32, nullable: true };
    let statement = NativeStatement {
        text: "".into(),
        bindings: Vec::new(),
        parameters: Vec::new(),
        output: vec![(output, Encoding::Canonical)],
        schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true)])),
    };
    Decoder::new(SOURCE, &statement, [Type::INT4].iter(), 8).unwrap()
}

fn row(value: Option<i32>) -> Vec<u8> {
    let cell = value.map_or(vec![0xff; 4], |value| [4_i32.to_be_bytes(), value.to_be_bytes()].concat());
    [vec![0, 1], cell].concat()
}

/// All rows, in batches of a length at most.
async fn read(reader: &mut RowReader<'_>, rows_max: usize) -> Result<Vec<Vec<Option<i32>>>> {
    let (mut decoder, mut batches) = (decoder(), Vec::new());
    loop {
        let progress = reader.take(&mut decoder, rows_max)?;
        match progress {
            Progress::More => reader.fill().await?,
            Progress::Full | Progress::Ended => {
                let batch = decoder.finish()?;
                if batch.num_rows() > 0 {
                    batches.push(batch.column(0).as_primitive::<Int32Type>().iter().collect());
                }
                if progress == Progress::Ended {
                    return Ok(batches);
                }
            }
        }
    }
}

/// The answer to a run, in either form.
fn answer(copied: bool) -> Vec<u8> {
    let values = [Some(1), None, Some(-3), Some(4)];
    let mut all = vec![said(b'1', b"")];
    if copied {
        let header = [b"PGCOPY\n\xff\r\n\0".as_slice(), &[0; 8]].concat();
        all.extend([
            said(b't', &[0, 0]),
            said(b'n', b""),
            said(b'2', b""),
            said(b'H', b"\x01\0\x01\0\x01"),
            said(b'd', &header),
        ]);
        all.extend(values.map(|value| said(b'd', &row(value))));
        all.extend([said(b'N', b"SNOTICE\0\0"), said(b'd', &[0xff, 0xff]), said(b'c', b"")]);
    } else {
        all.push(said(b'2', b""));
        all.extend(values.map(|value| said(b'D', &row(value))));
    }
    all.extend([said(b'C', b"SELECT 4\0"), said(b'Z', b"T")]);
    all.concat()
}

#[tokio::test]
async fn rows_come_whole_however_their_bytes_do() {
    for copied in [false, true] {
        for at_once in [1, 2, 7, 64, 4_096] {
            let mut reader = reader(answer(copied), at_once);
            if copied {
                reader.copy("COPY (SELECT 1) TO STDOUT (FORMAT binary)").await.unwrap();
            } else {
                reader.run(&parameters(&[])).await.unwrap();
            }
            let batches = read(&mut reader, 3).await.unwrap();
            assert_eq!(batches, [vec![Some(1), None, Some(-3)], vec![Some(4)]], "{copied} {at_once}");
            assert!(reader.failure().is_none() && reader.give_back());
        }
    }
}

#[tokio::test]
async fn a_failure_ends_the_rows_and_leaves_the_connection_at_rest() {
    let failed = said(b'E', b"SERROR\0VERROR\0C22012\0Mdivision by zero\0\0");
    let mut reader = reader([said(b'2', b""), said(b'D', &row(Some(1))), failed, said(b'Z', b"I")].concat(), 5);
    reader.run(&parameters(&[])).await.unwrap();
    assert_eq!(read(&mut reader, 10).await.unwrap(), [vec![Some(1)]]);
    assert_eq!(reader.failure().unwrap().state, "22012");
    assert!(reader.give_back());
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_connection() {
    let fatal = said(b'E', b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0");
    for (bytes, code) in [
        // Nothing more, in the middle of a row.
        (answer(false)[..30].to_vec(), ErrorCode::SourceLost),
        (fatal, ErrorCode::SourceLost),
        (said(b'G', b""), ErrorCode::SourceLost),
        // An end without the word that it is complete.
        ([said(b'D', &row(Some(1))), said(b'Z', b"I")].concat(), ErrorCode::SourceLost),
        // A copied row where none was asked for.
        (said(b'd', &row(Some(1))), ErrorCode::SourceLost),
        (vec![b'D', 0, 0, 0, 3], ErrorCode::SourceLost),
        (vec![b'D', 0x7f, 0, 0, 0], ErrorCode::ProgramLimitExceeded),
        // Two cells for one column, and a cell that is longer than its row.
        (said(b'D', &[0, 2, 0, 0, 0, 0, 0, 0, 0, 0]), ErrorCode::Internal),
        (said(b'D', &[0, 1, 0, 0, 0, 9, 1]), ErrorCode::Internal),
    ] {
        let mut reader = reader(bytes.clone(), 4);
        reader.run(&parameters(&[])).await.unwrap();
        let error = read(&mut reader, 10).await.unwrap_err();
        assert_eq!(error.code(), code, "{bytes:?}: {error}");
    }
    // A header that is none.
    let mut reader = reader([said(b'H', b""), said(b'd', b"PGCOPX")].concat(), 64);
    reader.copy("COPY").await.unwrap();
    assert_eq!(read(&mut reader, 10).await.unwrap_err().code(), ErrorCode::SourceLost);
}

#[tokio::test]
async fn columns_are_described_before_anything_runs() {
    let values = parameters(&[Value::Int32(1)]);
    let known = [said(b'1', b""), said(b't', b"\0\x01\0\0\0\x17"), said(b'T', &described(&[23, 25]))].concat();
    let mut reader_of_known = reader(known, 9);
    let described_columns = reader_of_known.describe("SELECT $1", &values).await.unwrap();
    assert!(matches!(described_columns, Described::Columns(types) if types == [Type::INT4, Type::TEXT]));
    let own = [said(b'1', b""), said(b'T', &described(&[99_999])), said(b'Z', b"I")].concat();
    let mut reader_of_own = reader(own, 9);
    assert!(matches!(reader_of_own.describe("SELECT 1", &parameters(&[])).await.unwrap(), Described::Unknown));
    reader_of_own.leave().await.unwrap();
    assert!(reader_of_own.give_back());
    let failed = [said(b'E', b"VERROR\0C42P01\0Mno table\0\0"), said(b'Z', b"I")].concat();
    let mut reader_of_failed = reader(failed, 9);
    let refused = reader_of_failed.describe("SELECT 1", &parameters(&[])).await.unwrap();
    assert!(matches!(refused, Described::Failed(failure) if failure.state == "42P01"));
    assert!(reader_of_failed.give_back());
}

#[tokio::test]
async fn a_row_of_any_length_is_read_and_its_room_is_given_back() {
    let text = |length: usize| {
        let cell = vec![b'x'; length];
        [vec![0, 1], i32::try_from(length).unwrap().to_be_bytes().to_vec(), cell].concat()
    };
    let output = OutputColumn { id: ColumnId(0), name: "a".into(), value_type: ValueType::Text, nullable: true };
    let statement = NativeStatement {
        text: "".into(),
        bindings: Vec::new(),
        parameters: Vec::new(),
        output: vec![(output, Encoding::Canonical)],
        schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true)])),
    };
    let mut decoder = Decoder::new(SOURCE, &statement, [Type::TEXT].iter(), 8).unwrap();
    let lengths = [3 * INPUT_BYTES, 1, INPUT_BYTES - 11, 0, INPUT_BYTES];
    let bytes = [lengths.map(|length| said(b'D', &text(length))).concat(), said(b'C', b"SELECT 5\0"), said(b'Z', b"I")]
        .concat();
    let mut reader = reader(bytes, 50_000);
    reader.run(&parameters(&[])).await.unwrap();
    let mut found = Vec::new();
    loop {
        match reader.take(&mut decoder, 1).unwrap() {
            Progress::More => reader.fill().await.unwrap(),
            Progress::Full => found.push(decoder.finish().unwrap().column(0).as_string::<i32>().value(0).len()),
            Progress::Ended => break,
        }
    }
    assert_eq!(found, lengths);
    assert!(reader.input.len() <= 2 * INPUT_BYTES, "{} bytes are kept", reader.input.len());
}

/// Many rows over a socket that the runtime no longer watches, with pauses; the next answer and the client library's find it watched.
#[tokio::test]
async fn a_long_answer_is_read_off_the_socket_itself_and_the_library_gets_it_back() {
    const ROWS: i32 = 200_000;
    async fn serve(mut theirs: impl AsyncRead + AsyncWrite + Unpin) {
        for _ in 0..2 {
            // One small write, which comes as a whole.
            let mut asked = [0; 4_096];
            assert!(theirs.read(&mut asked).await.unwrap() > 0);
            let mut all = said(b'2', b"");
            for value in 0..ROWS {
                all.extend(said(b'D', &row(Some(value))));
            }
            all.extend([said(b'C', b"SELECT 4\0"), said(b'Z', b"T")].concat());
            let (most, rest) = all.split_at(all.len() - 40);
            theirs.write_all(most).await.unwrap();
            // Longer than a reader waits before it looks again.
            tokio::time::sleep(3 * PACE_MAX).await;
            theirs.write_all(rest).await.unwrap();
        }
        let asked = theirs.read_u8().await.unwrap();
        theirs.write_all(&said(asked, b"")).await.unwrap();
    }
    for is_tcp in [true, false] {
        let (ours, served): (Box<dyn Stream>, _) = if is_tcp {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (Box::new(ours), tokio::spawn(serve(listener.accept().await.unwrap().0)))
        } else {
            let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
            (Box::new(ours), tokio::spawn(serve(theirs)))
        };
        let (owner, mut lent) = lend(ours);
        let mut reader = RowReader::new(SOURCE, owner.borrow().unwrap(), uncharged());
        for _ in 0..2 {
            reader.run(&parameters(&[])).await.unwrap();
            let batches = read(&mut reader, 8_192).await.unwrap();
            let rows: Vec<_> = batches.concat();
            assert!(rows.iter().copied().eq((0..ROWS).map(Some)));
            assert!(!reader.stream.is_watched());
        }
        assert!(reader.give_back());
        lent.write_all(b"N").await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(10), lent.read_u8()).await.unwrap();
        assert_eq!(answer.unwrap(), b'N');
        served.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_read_ahead_is_bounded_and_loses_nothing() {
    let values: Vec<u8> = (0..100_000).flat_map(|value| said(b'D', &row(Some(value)))).collect();
    let end = [said(b'C', b"SELECT 4\0"), said(b'Z', b"T")].concat();
    let mut reader = reader([said(b'2', b""), values, end].concat(), 10_000);
    reader.run(&parameters(&[])).await.unwrap();
    let bound = 2 * INPUT_BYTES;
    // Left in the middle, again and again.
    for _ in 0..50 {
        drop(tokio::time::timeout(Duration::from_millis(2), reader.read_ahead(bound)).await);
    }
    assert!((bound..=bound + INPUT_BYTES).contains(&reader.unread().len()), "{}", reader.unread().len());
    let rows = read(&mut reader, 8).await.unwrap().concat();
    assert!(rows.iter().copied().eq((0..100_000).map(Some)));
    assert!(reader.input.len() <= bound + INPUT_BYTES && reader.give_back());
}

/// A message that is longer than what is read ahead has to wait for its turn, and leaves no room behind.
#[tokio::test]
async fn a_large_message_is_not_read_ahead() {
    let notice = said(b'N', &vec![b'x'; 8 * INPUT_BYTES]);
    let end = [said(b'C', b"SELECT 4\0"), said(b'Z', b"T")].concat();
    let mut reader = reader([said(b'2', b""), said(b'D', &row(Some(7))), notice, end].concat(), 10_000);
    reader.run(&parameters(&[])).await.unwrap();
    let mut decoder = decoder();
    while decoder.rows() == 0 {
        reader.fill().await.unwrap();
        assert_eq!(reader.take(&mut decoder, 10).unwrap(), Progress::More);
    }
    for _ in 0..20 {
        drop(tokio::time::timeout(Duration::from_millis(2), reader.read_ahead(2 * INPUT_BYTES)).await);
    }
    assert!(reader.input.len() <= 2 * INPUT_BYTES, "{}", reader.input.len());
    while reader.take(&mut decoder, 10).unwrap() == Progress::More {
        reader.fill().await.unwrap();
    }
    assert_eq!(decoder.rows(), 1);
    assert!(reader.give_back());
}

/// Where its user has no room, nothing more is read ahead, and a row that needs more than there is fails.
#[tokio::test]
async fn what_a_reader_holds_is_charged() {
    let values: Vec<u8> = (0..100_000).flat_map(|value| said(b'D', &row(Some(value)))).collect();
    let end = [said(b'C', b"SELECT 4\0"), said(b'Z', b"T")].concat();
    let long = said(b'N', &vec![b'x'; 4 * INPUT_BYTES]);
    let bounded = Arc::new(Bounded((2 * INPUT_BYTES).into()));
    let left = || *bounded.0.lock().unwrap();
    let room = Arc::clone(&bounded) as Arc<dyn Room>;
    let charged = || Charged::new(Some(&room), INPUT_BYTES).unwrap();
    let mut reader = charged_reader([said(b'2', b""), values, end].concat(), 10_000, charged());
    assert_eq!(left(), INPUT_BYTES);
    reader.run(&parameters(&[])).await.unwrap();
    for _ in 0..50 {
        drop(tokio::time::timeout(Duration::from_millis(2), reader.read_ahead(8 * INPUT_BYTES)).await);
    }
    assert!(reader.input.len() > INPUT_BYTES, "it has read ahead");
    assert_eq!(reader.input.len() + left(), 2 * INPUT_BYTES);
    let rows = read(&mut reader, 8).await.unwrap().concat();
    assert!(rows.iter().copied().eq((0..100_000).map(Some)));
    assert!(reader.give_back());
    assert_eq!(left(), 2 * INPUT_BYTES);

    let mut reader = charged_reader([said(b'2', b""), long].concat(), 10_000, charged());
    reader.run(&parameters(&[])).await.unwrap();
    let error = read(&mut reader, 8).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::OutOfMemory);
    drop(reader);
    assert_eq!(left(), 2 * INPUT_BYTES);
}
