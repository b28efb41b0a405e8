//! Tickets in the wrong hands, altered, late, cancelled: none of them gives a row.

use crate::client::{Flight, packed, statement, ticket};
use arrow_flight::sql::{Any, CommandGetTables, CommandStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, FlightEndpoint, FlightInfo, RenewFlightEndpointRequest, Ticket,
};
use prost::Message as _;
use querygate_tests::server::{Variant, demo, runtime};
use tonic::Code;

const ROWS: &str = "SELECT id, name FROM accounts ORDER BY id";

#[test]
fn another_users_ticket_gives_nothing() {
    runtime().block_on(async {
        let (ada, iris) = (Flight::login(&demo().server, "ada").await, Flight::login(&demo().server, "iris").await);
        for command in [packed(&statement(ROWS)), packed(&CommandGetTables::default())] {
            let stolen = ticket(&ada.info_of(command).await.unwrap());
            let failure = iris.get(stolen.clone()).await.unwrap_err();
            assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::Unauthenticated, "28000"));
            // Not even that it is somebody's.
            assert_eq!(failure.message, iris.get(Ticket::new("nonsense")).await.unwrap_err().message);
            assert!(ada.get(stolen).await.unwrap().rows() > 0);
        }
    });
}

#[test]
fn an_altered_ticket_gives_nothing() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let good = ticket(&ada.info(&statement("SELECT 1")).await.unwrap());
        for at in (0..good.ticket.len()).step_by(7).chain([good.ticket.len() - 1]) {
            let mut bytes = good.ticket.to_vec();
            bytes[at] ^= 0x20;
            let failure = ada.get(Ticket::new(bytes)).await.unwrap_err();
            assert_eq!(failure.sqlstate, "28000", "{at}");
        }
        // A ticket that a client writes itself: the plain command, and the plain command in a ticket's message.
        let forged = [
            packed(&statement(ROWS)),
            packed(&TicketStatementQuery { statement_handle: packed(&statement(ROWS)) }),
            packed(&TicketStatementQuery { statement_handle: ada.token.clone().into() }),
            Any { type_url: TicketStatementQuery::type_url().to_owned(), value: vec![0xff].into() }
                .encode_to_vec()
                .into(),
            Vec::new().into(),
        ];
        for bytes in forged {
            assert_eq!(ada.get(Ticket::new(bytes)).await.unwrap_err().sqlstate, "28000");
        }
        assert_eq!(ada.get(good).await.unwrap().rows(), 1);
    });
}

#[test]
fn a_ticket_can_be_fetched_again_and_by_another_session_of_its_user_until_it_expires() {
    runtime().block_on(async {
        let (one, two) = (Flight::login(&demo().server, "sam").await, Flight::login(&demo().server, "sam").await);
        let good = ticket(&one.info(&statement(ROWS)).await.unwrap());
        let first = one.get(good.clone()).await.unwrap();
        assert_eq!(one.get(good.clone()).await.unwrap(), first);
        assert_eq!(two.get(good).await.unwrap(), first);
    });
    let variant = Variant::new(|config| config + "\n[flight]\nticket_lifetime = \"1ms\"\n");
    let server = variant.serve();
    runtime().block_on(async {
        let sam = Flight::login(&server, "sam").await;
        let info = sam.info(&statement(ROWS)).await.unwrap();
        assert!(info.endpoint[0].expiration_time.is_some());
        // The next call comes later than a millisecond after the ticket was made, or soon will.
        let failure = loop {
            if let Err(failure) = sam.get(ticket(&info)).await {
                break failure;
            }
        };
        assert_eq!((failure.sqlstate.as_str(), failure.message.contains("expired")), ("28000", true), "{failure:?}");
        assert_eq!(renew(&sam, &info.endpoint[0]).await.unwrap_err(), "28000");
    });
}

async fn renew(flight: &Flight, endpoint: &FlightEndpoint) -> Result<FlightEndpoint, String> {
    let request = RenewFlightEndpointRequest { endpoint: Some(endpoint.clone()) };
    let results = flight.act("RenewFlightEndpoint", request.encode_to_vec()).await.map_err(|f| f.sqlstate)?;
    Ok(FlightEndpoint::decode(results[0].clone()).unwrap())
}

async fn cancel(flight: &Flight, info: &FlightInfo) -> Result<i32, String> {
    let request = CancelFlightInfoRequest { info: Some(info.clone()) };
    let results = flight.act("CancelFlightInfo", request.encode_to_vec()).await.map_err(|f| f.sqlstate)?;
    Ok(CancelFlightInfoResult::decode(results[0].clone()).unwrap().status)
}

#[test]
fn an_endpoint_is_renewed_for_its_user_only() {
    runtime().block_on(async {
        let (sam, iris) = (Flight::login(&demo().server, "sam").await, Flight::login(&demo().server, "iris").await);
        let info = sam.info(&statement(ROWS)).await.unwrap();
        let endpoint = &info.endpoint[0];
        let renewed = renew(&sam, endpoint).await.unwrap();
        let time = |e: &FlightEndpoint| e.expiration_time.map(|t| (t.seconds, t.nanos)).unwrap();
        assert!(time(&renewed) >= time(endpoint));
        assert_eq!(sam.get(renewed.ticket.unwrap()).await.unwrap(), sam.get(ticket(&info)).await.unwrap());
        assert_eq!(renew(&iris, endpoint).await.unwrap_err(), "28000");
        assert_eq!(renew(&sam, &FlightEndpoint::new()).await.unwrap_err(), "08P01");
    });
}

#[test]
fn a_cancelled_flight_gives_nothing_and_only_its_user_cancels_it() {
    runtime().block_on(async {
        let (sam, iris) = (Flight::login(&demo().server, "sam").await, Flight::login(&demo().server, "iris").await);
        let info = sam.info(&statement(ROWS)).await.unwrap();
        assert_eq!(cancel(&iris, &info).await.unwrap_err(), "28000");
        assert!(sam.get(ticket(&info)).await.is_ok());
        assert_eq!(cancel(&sam, &info).await, Ok(1));
        let failure = sam.get(ticket(&info)).await.unwrap_err();
        assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::Cancelled, "57014"));
        assert_eq!(cancel(&sam, &FlightInfo::new()).await.unwrap_err(), "08P01");
    });
}

#[test]
fn a_ticket_of_older_metadata_gives_nothing() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    runtime().block_on(async {
        let sam = Flight::login(&server, "sam").await;
        let info = sam.info(&statement(ROWS)).await.unwrap();
        let transaction = sam.begin().await.unwrap();
        let pinned = CommandStatementQuery { query: ROWS.to_owned(), transaction_id: Some(transaction.clone()) };
        let pinned = sam.info(&pinned).await.unwrap();
        let from = server.lines().len();
        server.signal("HUP");
        let _ = server.wait_for("metadata reloaded", from);
        // The session's own engine session is in the transaction, which goes on with its version.
        assert!(sam.get(ticket(&pinned)).await.unwrap().rows() > 0);
        sam.end(&transaction, 1).await.unwrap();
        let failure = sam.get(ticket(&info)).await.unwrap_err();
        assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::FailedPrecondition, "0A000"), "{failure:?}");
        assert!(sam.query(ROWS).await.unwrap().rows() > 0);
    });
}
