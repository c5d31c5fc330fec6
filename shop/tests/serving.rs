//! The shop over HTTP, by a client that knows no more than bytes.

#![expect(clippy::unwrap_used, reason = "a failed preparation fails the test")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use harvestman_shop::{Fault, Faults, RunningShop, Shop};

const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn start(shop: Shop) -> RunningShop {
    shop.start(ANY_PORT.into()).unwrap()
}

/// An answer: its head in lower case, and what came of its body.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn ask(connection: &mut TcpStream, path: &str, last: bool) {
    let close = if last { "Connection: close\r\n" } else { "" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{close}\r\n");
    connection.write_all(request.as_bytes()).unwrap();
}

/// Gets a path on a connection of its own, and reads until that closes.
fn get(address: SocketAddr, path: &str) -> Answer {
    let mut connection = TcpStream::connect(address).unwrap();
    ask(&mut connection, path, true);
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    Answer { head, body: bytes.split_off(end + 4) }
}

fn product(running: &RunningShop, number: u32) -> Answer {
    get(running.address(), &format!("/products/{number}"))
}

/// A shop in which everything has one fault.
fn all(faults: Faults) -> RunningShop {
    start(Shop::new().with_products(10).with_faults(faults).with_log(true))
}

#[test]
fn products_have_pages_up_to_their_number_and_nothing_else_does() {
    let running = start(Shop::new().with_products(10).with_page_bytes(2000));
    for number in 0..10 {
        let answer = product(&running, number);
        assert_eq!(answer.status(), 200);
        assert!(answer.header("content-type").unwrap().starts_with("text/html"));
        let sku = Shop::product(number).sku;
        assert!(answer.body.windows(sku.len()).any(|part| part == sku.as_bytes()));
    }
    for path in ["/products/10", "/products/-1", "/products/x", "/products/", "/nothing"] {
        assert_eq!(get(running.address(), path).status(), 404, "{path}");
    }
    let index = String::from_utf8(get(running.address(), "/").body).unwrap();
    assert!(index.contains("10 products") && index.contains("/products/9"), "{index}");
    assert_eq!(running.requests(), 16);
    assert!(running.log().is_empty(), "nothing is logged unless it is asked for");
}

#[test]
fn a_connection_is_used_again() {
    let running = start(Shop::new().with_page_bytes(2000));
    let mut connection = TcpStream::connect(running.address()).unwrap();
    for number in 0..3 {
        ask(&mut connection, &format!("/products/{number}"), false);
        let mut reader = BufReader::new(&connection);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        assert!(length > 1000);
        reader.read_exact(&mut vec![0; length]).unwrap();
    }
}

#[test]
fn once_only_faults_come_once_for_each_product() {
    let wait = Duration::from_secs(3);
    for (faults, status, retry_after) in [
        (Faults::none().with_unavailable_once(1000), 503, None),
        (Faults::none().with_rate_limited_once(1000).with_retry_after(wait), 429, Some("3")),
    ] {
        let running = all(faults);
        for number in 0..10 {
            let first = product(&running, number);
            assert_eq!((first.status(), first.header("retry-after")), (status, retry_after));
        }
        for number in 0..10 {
            assert_eq!(product(&running, number).status(), 200);
        }
        let log = running.log();
        let statuses: Vec<u16> = log.iter().map(|request| request.status).collect();
        assert_eq!(statuses, [[status; 10], [200; 10]].concat());
        assert_eq!((log[3].path.as_str(), log[3].host.as_str()), ("/products/3", "shop.test"));
        assert!(log.iter().all(|request| request.came <= request.answered));
    }
}

#[test]
fn lasting_faults_last() {
    for (faults, status) in [
        (Faults::none().with_not_found(1000), 404),
        (Faults::none().with_server_error(1000), 500),
        (Faults::none().with_redirect(1000), 301),
    ] {
        let running = all(faults);
        for _ in 0..3 {
            assert_eq!(product(&running, 7).status(), status);
        }
    }
}

#[test]
fn a_redirect_leads_to_the_page() {
    let running = all(Faults::none().with_redirect(1000));
    for number in 0..10 {
        let location = product(&running, number).header("location").unwrap().to_owned();
        assert_eq!(get(running.address(), &location).status(), 200, "{location}");
    }
}

#[test]
fn a_truncated_body_is_shorter_than_told_or_has_no_end() {
    let running = all(Faults::none().with_truncated(1000));
    for number in 0..10 {
        let answer = product(&running, number);
        assert_eq!(answer.status(), 200);
        assert!(answer.body.len() > 10_000, "half of it comes");
        match answer.header("content-length") {
            Some(told) => assert!(told.parse::<usize>().unwrap() > answer.body.len()),
            None => assert!(!answer.body.ends_with(b"0\r\n\r\n"), "a chunked body without its end"),
        }
        assert_eq!(answer.header("content-length").is_some(), number % 2 == 0);
    }
}

#[test]
fn what_is_not_html_says_so() {
    let answer = product(&all(Faults::none().with_not_html(1000)), 1);
    assert_eq!(answer.header("content-type"), Some("application/pdf"));
    assert!(answer.body.starts_with(b"%PDF"));
}

#[test]
fn slow_products_and_latency_hold_back_the_answer() {
    let shop = Shop::new().with_page_bytes(2000).with_log(true);
    let slow = start(shop.clone().with_faults(Faults::none().with_slow(1000)));
    product(&slow, 1);
    let Fault::Slow(expected) = slow.shop().fault(1) else { panic!("product 1 is fast") };
    let request = &slow.log()[0];
    assert!(request.answered - request.came >= expected);
    let late = start(shop.with_latency(Duration::from_millis(40)));
    assert_eq!(get(late.address(), "/nothing").status(), 404);
    let request = &late.log()[0];
    assert!(request.answered - request.came >= Duration::from_millis(40));
}

#[cfg(target_os = "linux")]
#[test]
fn on_the_unspecified_address_there_are_many_hosts() {
    let shop = Shop::new().with_page_bytes(2000);
    let running = shop.start(([0, 0, 0, 0], 0).into()).unwrap();
    assert!(running.address().ip().is_loopback());
    assert_eq!(product(&running, 1).status(), 200);
    let port = running.address().port();
    for (host, ip) in [(0, "127.0.1.1"), (250, "127.0.2.1"), (u16::MAX, "127.0.8.36")] {
        let url = running.host_product_url(host, 5);
        assert_eq!(url, format!("http://{ip}:{port}/products/5"));
        let address = format!("{ip}:{port}").parse().unwrap();
        assert_eq!(get(address, "/products/5").status(), 200);
    }
    assert_eq!(running.tar_pit_url(1, 2), format!("http://127.0.1.2:{port}/tar-pit/2"));
}

#[test]
fn stopping_closes_the_port_and_the_connections() {
    let running = start(Shop::new());
    let address = running.address();
    let mut held = TcpStream::connect(address).unwrap();
    ask(&mut held, "/tar-pit/1", false);
    // The answer to a later connection shows that the first one has been taken.
    assert_eq!(product(&running, 1).status(), 200);
    running.stop();
    assert!(TcpStream::connect(address).is_err());
    let closed = held.read(&mut [0; 16]);
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
}

#[test]
fn a_taken_port_is_an_error() {
    let taken = TcpListener::bind(SocketAddr::from(ANY_PORT)).unwrap();
    assert!(Shop::new().start(taken.local_addr().unwrap()).is_err());
}

#[tokio::test]
async fn it_starts_and_stops_inside_a_runtime() {
    let running = start(Shop::new());
    let address = running.address();
    drop(running);
    assert!(TcpStream::connect(address).is_err());
}
