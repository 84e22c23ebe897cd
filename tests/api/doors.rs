//! Who gets through the door: crowds, drips, guesses, and whoever stands behind a proxy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{Ask, House, OPERATOR, Said};

/// A request as octets, and all that is answered to it.
fn raw(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: sipgw\r\nConnection: close\r\n\r\n")
}

fn connected(house: &House) -> TcpStream {
    let stream = TcpStream::connect(house.daemon.http()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// The value of a series on the page of metrics.
fn metric(house: &House, series: &str) -> u64 {
    let page = house.daemon.metrics().page(&[]);
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in\n{page}")).parse().unwrap()
}

fn guessed(house: &House, from: &str) -> Said {
    house.send(&Ask::new("GET", "/companies").token("sipgw_wrong").header("x-forwarded-for", from))
}

#[test]
fn connections_that_drip_shut_nobody_out() {
    let house = House::with("34680-34699", ", connections: 64, connections_per_source: 32");
    let mut dripping: Vec<_> = (0..200).map(|_| connected(&house)).collect();
    for octet in b"GET /" {
        for stream in &mut dripping {
            let _closed = stream.write_all(&[*octet]);
        }
        for path in ["/healthz", "/readyz"] {
            let answer = raw(connected(&house), &get(path));
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        }
        house.operate("GET", "/companies", Value::Null).expect(200);
    }
    assert!(metric(&house, "sipgw_connections_closed_total{reason=\"evicted\",transport=\"http\"}") > 100);
    house.stop();
}

#[test]
fn metrics_ask_for_a_token_on_this_machine_and_not_on_the_socket_of_commands() {
    let house = House::with("34700-34719", ", metrics_token: prometheus-reads-with-this");
    assert!(raw(connected(&house), &get("/metrics")).starts_with("HTTP/1.1 401 "));
    let with = |token: &str| {
        get("/metrics").replace("\r\n\r\n", &format!("\r\nAuthorization: Bearer {token}\r\n\r\n"))
    };
    assert!(raw(connected(&house), &with(OPERATOR)).starts_with("HTTP/1.1 401 "));
    assert!(raw(connected(&house), &with("prometheus-reads-with-this")).starts_with("HTTP/1.1 200 "));
    let socket = house.folder().join("sipgw.db.socket");
    for (path, wanted) in
        [("/metrics", "sipgw_calls_live"), ("/readyz", "ready"), ("/api/v1/companies", "items")]
    {
        let answer = raw(UnixStream::connect(&socket).unwrap(), &get(path));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(wanted), "{answer}");
    }
    house.stop();
}

#[test]
fn the_trail_names_whom_a_trusted_proxy_speaks_for() {
    let house = House::with("34720-34739", ", trusted_proxies: [127.0.0.1]");
    let open = |name: &str, header: &str, value: &str| {
        let company = json!({"name": name, "country": "US"});
        let ask = Ask::new("POST", "/companies").token(OPERATOR).header(header, value).json(&company);
        house.send(&ask).expect(201);
    };
    let origin = |house: &House| {
        house.operate("GET", "/audit?limit=1", Value::Null).expect(200)["items"][0]["origin"].clone()
    };
    open("Architects", "x-forwarded-for", "203.0.113.9, 198.51.100.7");
    assert_eq!(origin(&house), "198.51.100.7");
    open("Builders", "forwarded", "for=\"[2001:db8::7]:4711\"");
    assert_eq!(origin(&house), "2001:db8::7");
    house.stop();

    let house = House::new("34720-34739");
    let company = json!({"name": "Architects", "country": "US"});
    let ask = Ask::new("POST", "/companies").token(OPERATOR).header("x-forwarded-for", "198.51.100.7");
    house.send(&ask.json(&company)).expect(201);
    assert_eq!(origin(&house), "127.0.0.1", "nobody is believed who is not named");
    house.stop();
}

#[test]
fn whoever_guesses_tokens_is_not_heard_for_a_while_and_nobody_else_suffers() {
    let house = House::with("34740-34759", ", trusted_proxies: [127.0.0.1]");
    house
        .send(&Ask::new("GET", "/companies").token(OPERATOR).header("x-forwarded-for", "198.51.100.7"))
        .expect(200);
    for _ in 0..10 {
        guessed(&house, "198.51.100.7").expect(401);
    }
    let said = guessed(&house, "198.51.100.7");
    let wait: u64 = said.header("retry-after").expect("it says when").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(said.expect(429)["code"], "braked");
    // One brake for all that can be guessed.
    let event =
        Ask::new("POST", "/payment-events").json(&json!({"payment": 1, "state": "failed", "reference": "x"}));
    let event = event.header("sipgw-signature", "t=1,v1=00").header("x-forwarded-for", "198.51.100.7");
    house.send(&event).expect(429);
    // Who was known there before still is; others behind the proxy are others.
    house
        .send(&Ask::new("GET", "/companies").token(OPERATOR).header("x-forwarded-for", "198.51.100.7"))
        .expect(200);
    house
        .send(&Ask::new("GET", "/companies").token(OPERATOR).header("x-forwarded-for", "198.51.100.8"))
        .expect(200);
    house.operate("GET", "/companies", Value::Null).expect(200);
    assert_eq!(metric(&house, "sipgw_http_auth_failures_total{kind=\"token\"}"), 10);
    assert_eq!(metric(&house, "sipgw_http_braked_total"), 2);
    // Without a token nothing is guessed.
    for _ in 0..20 {
        house.send(&Ask::new("GET", "/companies").header("x-forwarded-for", "198.51.100.9")).expect(401);
    }
    house.stop();
}

#[test]
fn a_connection_whose_body_is_left_over_is_said_to_close() {
    let house = House::new("34840-34859");
    for token in [None, Some("sipgw_wrong"), Some(OPERATOR)] {
        let ask = Ask::new("POST", "/companies").json(&json!({"name": "Architects", "country": "US"}));
        let ask = match token {
            Some(token) => ask.token(token),
            None => ask,
        };
        let said = house.send(&ask);
        let is_closed = said.header("connection") == Some("close");
        assert_eq!(
            (said.status, is_closed),
            if token == Some(OPERATOR) { (201, false) } else { (401, true) }
        );
    }
    house.stop();
}

#[test]
fn a_proxys_client_has_its_own_bound() {
    let house = House::with("34760-34779", ", trusted_proxies: [127.0.0.1], connections_per_source: 2");
    // Their bodies do not come, so they stay under way.
    let head = format!(
        "POST /api/v1/companies HTTP/1.1\r\nHost: sipgw\r\nAuthorization: Bearer {OPERATOR}\r\n\
         X-Forwarded-For: 198.51.100.7\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    );
    let mut under_way: Vec<_> = (0..2).map(|_| connected(&house)).collect();
    under_way.iter_mut().for_each(|stream| stream.write_all(head.as_bytes()).unwrap());
    let ask = |client: &str| {
        house.send(&Ask::new("GET", "/companies").token(OPERATOR).header("x-forwarded-for", client))
    };
    let begun = std::time::Instant::now();
    loop {
        let said = ask("198.51.100.7");
        if said.status == 429 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{said:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    ask("198.51.100.8").expect(200);
    drop(under_way);
    while ask("198.51.100.7").status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    house.stop();
}

#[test]
fn events_whose_bodies_do_not_come_take_no_turn_of_those_with_a_token() {
    let house = House::with("34860-34879", ", trusted_proxies: [127.0.0.1], connections: 64");
    let now = jiff::Timestamp::now().as_second();
    let head = |client: usize, signature: &str| {
        format!(
            "POST /api/v1/payment-events HTTP/1.1\r\nHost: sipgw\r\nX-Forwarded-For: 198.51.100.{client}\r\n\
             Sipgw-Signature: {signature}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        )
    };
    let fresh = format!("t={now},v1=00");
    let mut waiting: Vec<_> = (0..60).map(|_| connected(&house)).collect();
    for (client, stream) in waiting.iter_mut().enumerate() {
        stream.write_all(head(client, &fresh).as_bytes()).unwrap();
    }
    let ask = Ask::new("GET", "/companies").token(OPERATOR).header("x-forwarded-for", "198.51.100.200");
    house.send(&ask).expect(200);
    let answered = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).is_ok().then(|| String::from_utf8_lossy(&answer).into_owned())
    };
    let refused: Vec<_> = waiting.iter_mut().filter_map(answered).collect();
    assert_eq!(refused, vec!["HTTP/1.1 429"; 28], "32 are awaited at once");
    // The one that was awaited longest makes room for an event whose body is there, from wherever it comes.
    let event = json!({"payment": 1, "state": "failed", "reference": "x"});
    for client in ["198.51.100.59", "198.51.100.202"] {
        let event = Ask::new("POST", "/payment-events").json(&event).header("sipgw-signature", &fresh);
        house.send(&event.header("x-forwarded-for", client)).expect(403);
    }
    // Bodies that are awaited are no guesses: one source with many of them is heard all the same.
    let mut slow: Vec<_> = (0..12).map(|_| connected(&house)).collect();
    slow.iter_mut().for_each(|stream| stream.write_all(head(203, &fresh).as_bytes()).unwrap());
    let ask = Ask::new("GET", "/companies").token(OPERATOR).header("x-forwarded-for", "198.51.100.203");
    house.send(&ask).expect(200);
    // A time that is off needs no body.
    let said = raw(connected(&house), &head(201, "t=1,v1=00"));
    assert!(said.starts_with("HTTP/1.1 403") && said.contains("connection: close"), "{said}");
    house.stop();
}

#[test]
fn only_a_table_may_be_long_and_only_of_those_who_may_bring_it() {
    let house = House::new("34880-34899");
    let reader = house.operate("POST", "/tokens", json!({"name": "reader", "role": "operator_read_only"}));
    let reader = reader.expect(201)["secret"].as_str().unwrap().to_owned();
    let head = |method: &str, path: &str, token: &str| {
        format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: sipgw\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: text/csv\r\nContent-Length: 1000000\r\n\r\n"
        )
    };
    let said = raw(connected(&house), &head("POST", "/companies", OPERATOR));
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    let said = raw(connected(&house), &head("PUT", "/rates", &reader));
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    let endless = head("PUT", "/rates", OPERATOR).replace("1000000", "999999999999");
    let said = raw(connected(&house), &endless);
    assert!(said.starts_with("HTTP/1.1 413") && said.contains("body_too_long"), "{said}");
    house.stop();
}
