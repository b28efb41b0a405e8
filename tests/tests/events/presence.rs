//! Who is at a record: told to those who see the record, and to nobody else.

use super::gate::Gate;
use super::websocket::Socket;
use querygate_tests::server::change;
use serde_json::{Value, json};

fn attend(socket: &mut Socket, id: &str, record: &str) {
    socket.say(&json!({"type": "attend", "id": id, "object": "desk_notes", "record": record}));
}

/// Users of the next message of presence.
fn present(socket: &mut Socket) -> Vec<String> {
    let told = socket.text();
    assert_eq!(told["type"], "presence", "{told}");
    let users = told["present"].as_array().unwrap().iter();
    users.map(|one| one["user"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn who_is_at_a_record_is_told_to_those_who_see_it() {
    let gate = Gate::new();
    let wanda = gate.client("wanda");
    change(&wanda, "INSERT INTO notes(id, region) VALUES ('n', 'eu')").unwrap();
    let [mut first, mut eve, mut uma] = ["wanda", "eve", "uma"].map(|user| Socket::live(&gate, user));
    attend(&mut first, "p", "n");
    let one = present(&mut first);
    assert_eq!(one.len(), 1, "{one:?}");
    attend(&mut eve, "p", "n");
    let both = present(&mut eve);
    assert_eq!(both.len(), 2);
    assert_eq!(present(&mut first), both);
    // A record that is hidden and one that is not there are alike.
    attend(&mut uma, "p", "n");
    let hidden = uma.text();
    attend(&mut uma, "p", "nothing");
    let missing = uma.text();
    assert_eq!((&hidden, &hidden["code"]), (&missing, &json!("RECORD_NOT_FOUND")));
    // One who only looks is not shown, and twice is once.
    first.say(&json!({"type": "attend", "id": "q", "object": "desk_notes", "record": "n", "shown": false}));
    assert_eq!(present(&mut first), both);
    attend(&mut eve, "again", "n");
    assert_eq!(present(&mut eve), both);
    // Out of view is out of the room.
    change(&wanda, "UPDATE notes SET region = 'us' WHERE id = 'n'").unwrap();
    let ended = eve.text();
    assert_eq!((&ended["type"], &ended["code"]), (&json!("error"), &json!("RECORD_NOT_FOUND")), "{ended}");
    while present(&mut first) != one {}
    attend(&mut uma, "p", "n");
    assert_eq!(present(&mut uma).len(), 2);
    while present(&mut first).len() != 2 {}
    drop(uma);
    while present(&mut first) != one {}
    first.say(&json!({"type": "unsubscribe", "id": "p"}));
    loop {
        let told: Value = first.text();
        if told["id"] == "q" && told["present"] == json!([]) {
            break;
        }
    }
}

#[test]
fn what_is_no_attendance_is_refused() {
    let gate = Gate::new();
    let mut socket = Socket::live(&gate, "eve");
    let mut code = |message: Value| {
        socket.say(&message);
        socket.text()["code"].clone()
    };
    for message in [
        json!({"type": "attend", "id": "p"}),
        json!({"type": "attend", "id": "p", "object": "desk_notes", "record": 1}),
        json!({"type": "attend", "id": "p", "object": "desk_notes", "record": "n", "shown": "yes"}),
        json!({"type": "attend", "id": "p", "object": "desk_notes", "record": "n", "state": {}}),
    ] {
        assert_eq!(code(message.clone()), "INVALID_REQUEST", "{message}");
    }
    let at = |object: &str| json!({"type": "attend", "id": "p", "object": object, "record": "n"});
    assert_eq!(code(at("desk_quiet")), "PERMISSION_DENIED");
    assert_eq!(code(at("desk_nothing")), "OBJECT_NOT_FOUND");
    assert_eq!(code(at("desk_notes")), "RECORD_NOT_FOUND");
}
