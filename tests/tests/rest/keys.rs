//! Records whose key is a number or several fields, and verdicts on single records.

use crate::own::{Gate, ROWS, STACK};
use querygate_tests::server::Request;
use serde_json::{Value, json};

#[test]
fn a_number_is_a_key_like_any_other() {
    let gate = Gate::new();
    let got = gate.get("nora", "/data/shop_tickets/42");
    assert_eq!(got, json!({"object": "shop_tickets", "id": "42", "record": {"id": 42, "title": "Bulb", "parent": 41}}));
    let refused = |path: &str| gate.refused("nora", "GET", path, None);
    for wrong in ["7", "x", "4.2", "99999999999999999999", "%7Btoday%7D", "-1"] {
        assert_eq!(refused(&format!("/data/shop_tickets/{wrong}")), (404, "RECORD_NOT_FOUND".to_owned()), "{wrong}");
    }
    let ids = |path: &str| {
        let page = gate.get("nora", path);
        page["records"].as_array().unwrap().iter().map(|record| record["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("/data/shop_tickets?id=42"), [json!(42)]);
    assert_eq!(
        ids("/data/shop_tickets?filter=%7B%22id%22:%7B%22$in%22:[41,43]%7D%7D&sort=-id"),
        [json!(43), json!(41)]
    );
    assert_eq!(ids("/data/shop_tickets?sort=title&top=1&skip=1"), [json!(41)]);
    let expanded = gate.get("nora", "/data/shop_tickets?expand=parent&sort=id&select=id,parent");
    assert_eq!(
        expanded["records"],
        json!([{"id": 41, "parent": null}, {"id": 42, "parent": {"id": 41, "title": "Lamp", "parent": null}}, {"id": 43, "parent": 77}]),
        "the key of a record that is not there stays a number"
    );
    let changed = gate.ask("nora", "PATCH", "/data/shop_tickets/42", Some(&json!({"title": "Tube"})));
    assert_eq!((changed.status, &changed.json()["record"]["title"]), (200, &json!("Tube")), "{}", changed.text());
    let made = gate.ask("nora", "POST", "/data/shop_tickets", Some(&json!({"title": "New"})));
    assert_eq!(
        (made.status, &made.json()["id"], &made.json()["record"]["id"]),
        (201, &json!("44"), &json!(44)),
        "{}",
        made.text()
    );
    let many = json!({"records": [{"id": "41", "data": {"title": "One"}}, {"id": "nope", "data": {}}], "options": {"continueOnError": true}});
    let many = gate.ask("nora", "POST", "/data/shop_tickets/updateMany", Some(&many)).json();
    assert_eq!(
        (&many["succeeded"], &many["results"][1]["errors"][0]["code"]),
        (&json!(1), &json!("RECORD_NOT_FOUND")),
        "{many}"
    );
    // A record that is not there is none by its number either.
    for absent in [json!(777), json!(777.0), json!("777")] {
        let body = json!({"title": "Lost", "parent": absent});
        for (method, path) in [("POST", "/data/shop_tickets"), ("PATCH", "/data/shop_tickets/42")] {
            let refused = gate.ask("nora", method, path, Some(&body));
            assert_eq!(refused.status, 400, "{method} {absent}: {}", refused.text());
            assert!(refused.text().contains("reference_not_found"), "{method} {absent}: {}", refused.text());
        }
    }
    let kept = gate.ask("nora", "PATCH", "/data/shop_tickets/42", Some(&json!({"parent": 43})));
    assert_eq!((kept.status, &kept.json()["record"]["parent"]), (200, &json!(43)), "{}", kept.text());
    let by_number = json!({"records": [{"id": 41, "data": {"id": 41, "title": "Uno"}}]});
    let by_number = gate.ask("nora", "POST", "/data/shop_tickets/updateMany", Some(&by_number)).json();
    assert_eq!(by_number["succeeded"], json!(1), "{by_number}");
    let wrong = gate.ask("nora", "POST", "/data/shop_tickets/deleteMany", Some(&json!({"ids": [4.5, true]})));
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    let gone = gate.ask("nora", "POST", "/data/shop_tickets", Some(&json!({"id": 91, "title": "Gone"})));
    assert_eq!(gone.status, 201, "{}", gone.text());
    let gone = gate.ask("nora", "POST", "/data/shop_tickets/deleteMany", Some(&json!({"ids": [91]}))).json();
    assert_eq!(gone["succeeded"], json!(1), "{gone}");
    assert_eq!(gate.ask("nora", "DELETE", "/data/shop_tickets/44", None).json()["success"], true);
    assert_eq!(refused("/data/shop_tickets/44"), (404, "RECORD_NOT_FOUND".to_owned()));
}

/// By a text that no other verb finds a record by, none is made.
#[test]
fn no_record_is_made_by_another_spelling_of_its_key() {
    // Later releases take no other spelling of a number at all.
    let gate = Gate::with_metadata(STACK, ROWS, "protocol = \"17.4\"\n");
    let upsert = |id: &Value| {
        let body = json!({"operation": "upsert", "records": [{"id": id, "data": {"title": "Made"}}]});
        gate.ask("nora", "POST", "/data/shop_tickets/batch", Some(&body)).json()["results"][0].clone()
    };
    for other in ["099", " 99", "99.0", "9.9e1", "x"] {
        let error = upsert(&json!(other))["errors"][0].clone();
        assert_eq!(
            (&error["code"], &error["httpStatus"]),
            (&json!("VALIDATION_FAILED"), &json!(400)),
            "{other}: {error}"
        );
    }
    assert_eq!(gate.refused("nora", "GET", "/data/shop_tickets/99", None).0, 404);
    assert_eq!(upsert(&json!("99"))["success"], json!(true));
    assert_eq!(upsert(&json!(98))["success"], json!(true));
    assert_eq!(gate.get("nora", "/data/shop_tickets/99")["record"]["title"], json!("Made"));
    let import = |id: Value| {
        let body = json!({"format": "json", "writeMode": "upsert", "matchFields": ["id"], "rows": [{"id": id, "title": "In"}]});
        gate.ask("nora", "POST", "/data/shop_tickets/import", Some(&body)).json()["results"][0].clone()
    };
    assert_eq!(import(json!("42"))["action"], json!("updated"));
    // Of a record that is there it is another key than its own.
    for other in [json!("042"), json!(" 42 "), json!("42.0"), json!(42.0)] {
        assert_eq!(import(other.clone())["code"], json!("UPDATE_ID_MISMATCH"), "{other}");
    }
    for other in ["0777", " 777 ", "777.0", "7.77e2"] {
        let told = import(json!(other));
        assert_eq!((&told["action"], &told["field"]), (&json!("failed"), &json!("id")), "{other}: {told}");
        let values = json!({"id": other, "title": "Made"});
        let operation = json!({"object": "shop_tickets", "action": "create", "data": values});
        for (path, body) in [
            ("/data/shop_tickets", values.clone()),
            ("/data/shop_tickets/createMany", json!([values])),
            ("/batch", json!({"operations": [operation]})),
        ] {
            let refused = gate.ask("nora", "POST", path, Some(&body));
            let told = refused.json();
            assert_eq!(
                (refused.status, &told["code"], &told["fields"][0]["field"]),
                (400, &json!("VALIDATION_FAILED"), &json!("id")),
                "{path} {other}: {told}"
            );
        }
    }
    assert_eq!(gate.refused("nora", "GET", "/data/shop_tickets/777", None).0, 404);
    // A number is the same one however it is written.
    for given in [json!(777.0), json!("778")] {
        assert_eq!(import(given.clone())["action"], json!("created"), "{given}");
    }
}

/// A record that is hidden is like one that is not there, however its number is written and by whichever way it comes.
/// Records of an object without `updated_at` have no version that one could be compared with.
#[test]
fn a_version_is_refused_where_records_have_none() {
    let gate = Gate::new();
    let ask = |method: &str, version: &str| {
        let request = Request::new(method, "/api/v1/data/shop_tickets/42").header("if-match", version);
        let request = request.header("authorization", &format!("Bearer {}", gate.token("nora")));
        gate.send(if method == "PATCH" { request.json(&json!({"title": "Tube"})) } else { request })
    };
    for method in ["PATCH", "DELETE"] {
        let refused = ask(method, "2026-01-01T00:00:00.000Z");
        assert_eq!((refused.status, refused.json()["code"].as_str()), (400, Some("VALIDATION_ERROR")), "{method}");
        assert!(refused.text().contains("updated_at"), "{method}: {}", refused.text());
        assert_eq!(gate.get("nora", "/data/shop_tickets/42")["record"]["title"], "Bulb", "{method}");
    }
    assert_eq!(ask("PATCH", "*").status, 200);
    assert_eq!(ask("DELETE", "*").status, 200);
}

#[test]
fn a_number_refers_to_what_its_writer_sees() {
    let rights = "shop_tickets: { allowRead: true, allowEdit: true }";
    let policies = "    rowLevelSecurity:\n";
    let rule = "      - { name: no_bulb, object: shop_tickets, operation: all, using: \"title != 'Bulb'\" }\n";
    let stack = STACK
        .replace(rights, "shop_tickets: { allowRead: true, allowCreate: true, allowEdit: true }")
        .replace(policies, &format!("{policies}{rule}"));
    let gate = Gate::of(&stack, ROWS, "");
    assert_eq!(gate.refused("rita", "GET", "/data/shop_tickets/42", None).0, 404);
    let total = || gate.get("nora", "/data/shop_tickets?limit=1")["total"].clone();
    let parent = || gate.get("nora", "/data/shop_tickets/41")["record"]["parent"].clone();
    let before = total();
    let answers = |written: &Value| {
        let ticket = json!({"title": "Fuse", "parent": written});
        let record = json!({"object": "shop_tickets", "action": "create", "data": ticket});
        let mut answers = Vec::new();
        for (method, path, body) in [
            ("POST", "/data/shop_tickets", ticket.clone()),
            ("PATCH", "/data/shop_tickets/41", json!({"parent": written})),
            ("POST", "/data/shop_tickets/createMany", json!([ticket])),
            ("POST", "/data/shop_tickets/updateMany", json!({"records": [{"id": "41", "data": {"parent": written}}]})),
            ("POST", "/data/shop_tickets/import", json!({"format": "json", "rows": [ticket]})),
            ("POST", "/batch", json!({"operations": [record]})),
        ] {
            let answer = gate.ask("rita", method, path, Some(&body));
            answers.push((answer.status, answer.json()));
        }
        assert_eq!((total(), parent()), (before.clone(), Value::Null), "{written}: {answers:?}");
        answers
    };
    for [hidden, absent] in [[json!(42), json!(777)], [json!(42.0), json!(777.0)], [json!("42"), json!("777")]] {
        let found = answers(&hidden);
        let message = "parent: no shop_tickets record has id \"42\"";
        for (status, body) in &found[..2] {
            let fault = &body["fields"][0];
            assert_eq!(
                (*status, &fault["field"], &fault["code"], &fault["message"]),
                (400, &json!("parent"), &json!("reference_not_found"), &json!(message)),
                "{hidden}: {body}"
            );
        }
        let with_other = |(status, body): &(u16, Value)| (*status, body.to_string().replace("42", "777"));
        let as_text = |(status, body): &(u16, Value)| (*status, body.to_string());
        let like: Vec<_> = found.iter().map(with_other).collect();
        assert_eq!(like, answers(&absent).iter().map(as_text).collect::<Vec<_>>());
    }
    let changed = gate.ask("nora", "PATCH", "/data/shop_tickets/41", Some(&json!({"parent": 42.0})));
    assert_eq!((changed.status, &changed.json()["record"]["parent"]), (200, &json!(42)), "{}", changed.text());
}

/// A user who is referred to is one whom the gate knows: the configuration lets such a user in.
#[test]
fn references_to_users_are_looked_for() {
    let title = "title: { type: text, required: true }";
    let stack = STACK.replace(
        title,
        &format!("{title}\n      helper: {{ type: user }}\n      asked: {{ type: lookup, reference: sys_user }}"),
    );
    let gate = Gate::of(
        &stack,
        &ROWS
            .replace("title TEXT NOT NULL", "title TEXT NOT NULL, helper TEXT, asked TEXT")
            .replace("INSERT INTO tickets VALUES", "INSERT INTO tickets (id, title, parent) VALUES"),
        "",
    );
    let total = || gate.get("nora", "/data/shop_tickets?limit=1")["total"].clone();
    let before = total();
    for field in ["helper", "asked"] {
        let ticket = json!({"title": "Fuse", field: "no_such_id"});
        for (method, path, body) in [
            ("POST", "/data/shop_tickets", ticket.clone()),
            ("PATCH", "/data/shop_tickets/41", json!({field: "no_such_id"})),
        ] {
            let refused = gate.ask("nora", method, path, Some(&body));
            let fault = refused.json()["fields"][0].clone();
            assert_eq!(
                (refused.status, &fault["field"], &fault["code"]),
                (400, &json!(field), &json!("reference_not_found")),
                "{}",
                refused.text()
            );
        }
        let many = gate.ask("nora", "POST", "/data/shop_tickets/createMany", Some(&json!([ticket])));
        assert!(many.status >= 400, "{}", many.text());
        assert_eq!(total(), before, "{field}");
        for known in [json!("rita"), json!("nora"), json!(null)] {
            let changed = gate.ask("nora", "PATCH", "/data/shop_tickets/41", Some(&json!({field: known})));
            assert_eq!(changed.status, 200, "{known}: {}", changed.text());
        }
    }
}

/// No body is an empty one.
#[test]
fn a_record_without_a_value_is_one() {
    let stack = STACK.replace("title: { type: text, required: true }", "title: { type: text }");
    let gate = Gate::of(&stack, &ROWS.replace("title TEXT NOT NULL", "title TEXT"), "");
    let bearer = format!("Bearer {}", gate.token("nora"));
    for (body, id) in [("{}", 44), ("", 45), ("{\"title\": null}", 46)] {
        let request = Request::new("POST", "/api/v1/data/shop_tickets").header("authorization", &bearer);
        let made = gate.send(request.text("application/json", body));
        assert_eq!(
            (made.status, &made.json()["record"]),
            (201, &json!({"id": id, "title": null, "parent": null})),
            "{body}: {}",
            made.text()
        );
    }
}

#[test]
fn references_in_a_batch_keep_the_type_of_the_key() {
    let gate = Gate::new();
    let create = |title: &str, parent: Value| json!({"object": "shop_tickets", "action": "create", "data": {"title": title, "parent": parent}});
    let batch = |operations: &[Value]| gate.ask("nora", "POST", "/batch", Some(&json!({"operations": operations})));
    // Numbers that the source gives, that the request gives, and texts that the gate gives.
    let answer = batch(&[
        create("Root", Value::Null),
        create("Branch", json!({"$ref": 0})),
        create("Leaf", json!({"$ref": 1})),
        json!({"object": "shop_tickets", "action": "create", "data": {"id": 90, "title": "Given"}}),
        json!({"object": "shop_tickets", "action": "update", "id": "41", "data": {"parent": {"$ref": 3}}}),
        json!({"object": "shop_customers", "action": "create", "data": {"name": "Dee"}}),
        json!({"object": "shop_orders", "action": "create", "data": {"id": "o7", "code": "A-7", "customer": {"$ref": 5}}}),
    ]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["results"].clone();
    let parents: Vec<&Value> = [1, 2, 4].iter().map(|at| &results[*at]["parent"]).collect();
    assert_eq!(parents, [&results[0]["id"], &results[1]["id"], &json!(90)], "{results}");
    assert!(results[0]["id"].is_u64() && results[5]["id"].is_string(), "{results}");
    assert_eq!(results[6]["customer"], results[5]["id"]);
    // A failure after records that were already made undoes them.
    let count = || gate.get("nora", "/data/shop_tickets?limit=1")["total"].clone();
    let before = count();
    let wrong = [create("One", Value::Null), create("Two", json!({"$ref": 0})), create("Three", json!("no number"))];
    let refused = batch(&wrong);
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    assert_eq!(count(), before);
    let refused = batch(&[create("One", json!({"$ref": 1})), create("Two", Value::Null)]);
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!("BATCH_UNRESOLVED_REF")));
    let refused = batch(&[
        create("One", Value::Null),
        json!({"object": "shop_secrets", "action": "create", "data": {"word": {"$ref": 0}}}),
    ]);
    assert!(refused.status >= 400, "{}", refused.text());
    assert_eq!(count(), before);
}

#[test]
fn a_key_of_several_fields_is_a_path_with_commas() {
    let gate = Gate::new();
    let got = gate.get("nora", "/data/shop_lines/o1,2");
    assert_eq!(
        got,
        json!({"object": "shop_lines", "id": "o1,2", "record": {"order_id": "o1", "line": 2, "amount": 1}})
    );
    let refused = |user: &str, method: &str, id: &str| {
        gate.refused(user, method, &format!("/data/shop_lines/{id}"), Some(&json!({"amount": 1})))
    };
    for method in ["GET", "PATCH", "DELETE"] {
        for wrong in ["o1", "o1,3", "o1,x", "o1,2,3", "2,o1", ",", "%7Btoday%7D,2"] {
            assert_eq!(refused("nora", method, wrong), (404, "RECORD_NOT_FOUND".to_owned()), "{method} {wrong}");
        }
        assert_eq!(refused("rita", method, "o1,2"), (403, "PERMISSION_DENIED".to_owned()), "{method}");
    }
    let changed = gate.ask("nora", "PATCH", "/data/shop_lines/o1,2", Some(&json!({"amount": 7})));
    assert_eq!(
        (changed.status, &changed.json()["id"], &changed.json()["record"]["amount"]),
        (200, &json!("o1,2"), &json!(7))
    );
    assert_eq!(gate.get("nora", "/data/shop_lines/o1,1")["record"]["amount"], 2.5, "no other line is changed");
    let made = gate.ask("nora", "POST", "/data/shop_lines", Some(&json!({"order_id": "o3", "line": 7, "amount": 3.5})));
    assert_eq!((made.status, &made.json()["id"]), (201, &json!("o3,7")), "{}", made.text());
    assert_eq!(made.json()["record"], json!({"order_id": "o3", "line": 7, "amount": 3.5}));
    let many = json!({"records": [{"id": "o3,7", "data": {"amount": 4}}, {"id": "o3,8", "data": {"amount": 4}}], "options": {"continueOnError": true}});
    let many = gate.ask("nora", "POST", "/data/shop_lines/updateMany", Some(&many)).json();
    assert_eq!(
        (&many["succeeded"], &many["results"][1]["errors"][0]["code"]),
        (&json!(1), &json!("RECORD_NOT_FOUND")),
        "{many}"
    );
    let explained = gate.get("nora", "/security/explain?object=shop_lines&operation=delete&recordId=o3,7");
    assert_eq!(explained["record"]["outcome"], "admitted");
    assert_eq!(gate.ask("nora", "DELETE", "/data/shop_lines/o3,7", None).json()["success"], true);
    assert_eq!(gate.get("nora", "/data/shop_lines")["total"], 2);
    assert_eq!(
        gate.get("nora", "/data/shop_lines?order_id=o1&line=2")["records"],
        json!([{"order_id": "o1", "line": 2, "amount": 7}])
    );
}

#[test]
fn verdicts_are_given_on_single_records() {
    let gate = Gate::new();
    let verdict = |user: &str, object: &str, operation: &str, id: &str| {
        let path = format!("/security/explain?object={object}&operation={operation}&recordId={id}");
        let verdict = gate.get(user, &path);
        (verdict["allowed"].as_bool().unwrap(), verdict["record"]["outcome"].as_str().unwrap().to_owned())
    };
    let (admitted, excluded) = ((true, "admitted".to_owned()), (false, "excluded".to_owned()));
    assert_eq!(verdict("nora", "shop_orders", "read", "o2"), admitted);
    assert_eq!(verdict("rita", "shop_orders", "read", "o1"), admitted);
    // Of another region, and none at all: the same answer.
    for id in ["o2", "none"] {
        let path = format!("/security/explain?object=shop_orders&operation=read&recordId={id}");
        let told = gate.ask("rita", "GET", &path, None).text().replace(&format!("\"{id}\""), "\"id\"");
        let other = gate.ask("rita", "GET", &path.replace(id, "else"), None).text().replace("\"else\"", "\"id\"");
        assert_eq!(told, other, "{id}");
        assert_eq!(verdict("rita", "shop_orders", "read", id), excluded);
    }
    assert_eq!(verdict("rita", "shop_orders", "update", "o1"), excluded, "rita changes no order");
    assert_eq!(verdict("rita", "shop_tickets", "update", "42"), admitted);
    assert_eq!(verdict("rita", "shop_tickets", "update", "7"), excluded);
    assert_eq!(verdict("rita", "shop_tickets", "delete", "42"), excluded);
    assert_eq!(verdict("nora", "shop_tickets", "delete", "43"), admitted);
    assert_eq!(gate.get("nora", "/data/shop_tickets/43")["record"]["title"], "Wire", "nothing was done");
    let body = json!({"object": "shop_tickets", "operation": "update", "recordId": "42"});
    assert_eq!(gate.ask("rita", "POST", "/security/explain", Some(&body)).json()["allowed"], true);
}
