//! What fuzz targets and the replay of their corpora call: the readers of questions, with the properties that must hold. Knows no
//! engine.

use crate::call::{Parameters, question_of};
use crate::data::{Ask, Numbers, filter_of, of_body, of_parameters};
use crate::refusal::{Envelope, Refusal};
use querygate_query_api::requests::question::{Aggregation, Bucket};
use serde_json::{Map, Value, json};

/// The object that questions are about.
const OBJECT: &str = "things";

/// Reads a body of `POST /data/:object/query`. Gives whether it is a question.
///
/// # Errors
/// A refusal that is not the client's fault, or a question that reads otherwise when it is written down and read again.
pub fn body(bytes: &[u8]) -> Result<bool, String> {
    let ask = match question_of(bytes).and_then(|body| of_body(OBJECT, body.unwrap_or_default())) {
        Ok(ask) => ask,
        Err(refusal) => return refused(refusal),
    };
    again(&ask).map(|()| true)
}

/// Reads the query of `GET /data/:object`, as it stands in an address. Gives whether it is a question.
///
/// # Errors
/// As [`body`]: what parameters ask is what a body asks with the same words.
pub fn parameters(query: &[u8]) -> Result<bool, String> {
    let asked =
        Parameters::read(query).and_then(|parameters| of_parameters(OBJECT, &parameters, &|_| true, Numbers::Unread));
    match asked {
        Ok(ask) => again(&ask).map(|()| true),
        Err(refusal) => refused(refusal),
    }
}

/// Reads a filter, in either form. Gives whether it is one.
///
/// # Errors
/// A filter that is no object, or that reads otherwise when it is read again.
pub fn filter(bytes: &[u8]) -> Result<bool, String> {
    let Ok(Some(value)) = question_of(bytes) else { return Ok(false) };
    match filter_of(value, "filter") {
        Ok(filter) if !filter.is_object() => Err(format!("no object: {filter}")),
        Ok(filter) => match filter_of(filter.clone(), "filter") {
            Ok(same) if same == filter => Ok(true),
            Ok(other) => Err(format!("{filter} is read again as {other}")),
            Err(refusal) => Err(format!("{filter} is refused: {}", refusal.message())),
        },
        Err(refusal) => refused(refusal),
    }
}

/// A refusal blames who asked, and can be answered.
fn refused(refusal: Refusal) -> Result<bool, String> {
    let (status, message) = (refusal.status(), refusal.message().to_owned());
    let answer = refusal.into_answer(Envelope::Flat);
    if status.is_client_error() && answer.status() == status && !message.is_empty() {
        return Ok(false);
    }
    Err(format!("refused with {status}: {message}"))
}

/// Writes a question as a body and reads it again. What is expanded has two forms, and is left out.
fn again(ask: &Ask) -> Result<(), String> {
    let written = written(ask);
    let read = of_body(OBJECT, written.clone()).map_err(|refusal| format!("{written}: {}", refusal.message()))?;
    if format!("{:?}", read.question) == format!("{:?}", ask.question) && read.counts == ask.counts {
        return Ok(());
    }
    Err(format!("{written} is read as {:?}, and was {:?}", read.question, ask.question))
}

fn written(ask: &Ask) -> Value {
    let question = &ask.question;
    let mut body = Map::new();
    let mut add = |key: &str, value: Option<Value>| body.extend(value.map(|value| (key.to_owned(), value)));
    let direction = |descending| if descending { "desc" } else { "asc" };
    let order = question.order.iter().map(|key| json!({"field": key.field, "order": direction(key.descending)}));
    let groups = question.group_by.iter().map(|group| {
        let mut written = json!({"field": group.field});
        if let Some(written) = written.as_object_mut() {
            let bucket = group.bucket.map(Bucket::name);
            written.extend(bucket.map(|bucket| ("dateGranularity".to_owned(), bucket.into())));
            written.extend(group.alias.as_ref().map(|alias| ("alias".to_owned(), alias.as_str().into())));
        }
        written
    });
    let some = |values: Vec<Value>| Some(Value::Array(values)).filter(|values| values != &json!([]));
    add("fields", question.fields.as_ref().map(|fields| json!(fields)));
    add("where", question.filter.clone());
    add("having", question.having.clone());
    add("orderBy", some(order.collect()));
    add("groupBy", some(groups.collect()));
    add("aggregations", some(question.aggregations.iter().map(aggregation).collect()));
    add("limit", question.limit.map(Value::from));
    add("offset", question.offset.map(Value::from));
    add("search", question.search.as_ref().map(|words| words.as_str().into()));
    add("searchFields", question.search_fields.as_ref().map(|fields| json!(fields)));
    add("count", (!ask.counts).then_some(Value::Bool(false)));
    Value::Object(body)
}

fn aggregation(aggregation: &Aggregation) -> Value {
    let mut written = Map::new();
    written.insert("function".to_owned(), aggregation.function.name().into());
    written.insert("alias".to_owned(), aggregation.alias.as_str().into());
    written.extend(aggregation.field.as_ref().map(|field| ("field".to_owned(), field.as_str().into())));
    written.extend(aggregation.filter.clone().map(|filter| ("filter".to_owned(), filter)));
    Value::Object(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    type Reader = fn(&[u8]) -> Result<bool, String>;

    /// Each target with pieces that its inputs are damaged with.
    const TARGETS: [(&str, Reader, [&str; 12]); 3] = [
        ("body", body, ["\"", "{", "[", "}", "]", ",", ":", "null", "-1e999", "\\ud800", "{\"$and\":[", "\"where\":"]),
        (
            "parameters",
            parameters,
            ["&", "=", "%", "%ff", "%00", "$filter=[[", "sort=-", "top=1e15", "skip=-1", "expand=a.b.c.d.e", ",", "+"],
        ),
        (
            "filter",
            filter,
            ["\"", "{", "[", "}", "]", ",", "\"and\"", "\"or\"", "\"is_null\"", "\"in\"", "null", "[[]]"],
        ),
    ];

    fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect();
        files.sort();
        files
    }

    #[test]
    fn inputs_are_read_or_refused() {
        for (target, reader, _) in TARGETS {
            let (mut read, mut refused) = (0, 0);
            for (name, bytes) in corpus(target) {
                match reader(&bytes).unwrap_or_else(|broken| panic!("{name}: {broken}")) {
                    true => read += 1,
                    false => refused += 1,
                }
            }
            assert!(read >= 15 && refused >= 5, "{target}: {read} read, {refused} refused");
        }
    }

    /// Each input with a piece left out, doubled, or of another input put in. `QUERYGATE_FUZZ_QUESTIONS=1000000` tries more.
    #[test]
    fn damaged_inputs_are_read_or_refused() {
        let rounds = std::env::var("QUERYGATE_FUZZ_QUESTIONS").map_or(4_000, |text| text.parse().unwrap());
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |end: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % u64::try_from(end.max(1)).unwrap()).unwrap()
        };
        for (target, reader, pieces) in TARGETS {
            let mut inputs: Vec<Vec<u8>> = corpus(target).into_iter().map(|(_, bytes)| bytes).collect();
            let (mut read, mut refused) = (0, 0);
            for _ in 0..rounds {
                let at = below(inputs.len());
                let (input, other) = (&inputs[at], &inputs[below(inputs.len())]);
                let (from, to) = (below(input.len() + 1), below(input.len() + 1));
                let (from, to) = (from.min(to), from.max(to));
                let piece: &[u8] = match below(4) {
                    0 => &[],
                    1 => &input[from..to],
                    2 => &other[below(other.len() + 1)..],
                    _ => pieces[below(pieces.len())].as_bytes(),
                };
                let rest = if below(2) == 0 { to } else { from };
                let damaged = [&input[..to], piece, &input[rest..]].concat();
                let shown = || String::from_utf8_lossy(&damaged).into_owned();
                match reader(&damaged).unwrap_or_else(|broken| panic!("{target} {}: {broken}", shown())) {
                    true => read += 1,
                    false => refused += 1,
                }
                // What is read still may be damaged further.
                if below(8) == 0 && damaged.len() < 2_000 {
                    inputs[at] = damaged;
                }
            }
            println!("{target}: {read} read, {refused} refused");
            assert!(read > rounds / 100 && refused > rounds / 100, "{target}: {read} read, {refused} refused");
        }
    }
}
