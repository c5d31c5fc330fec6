//! Roles: whom they are given to, and sessions that end in the middle of a job.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use harvestman::{
    spec::OutputSpec,
    storage::{Access, Role, S3Settings, Scope, Storage, StoreError},
    store::Status,
};
use harvestman_shop::Shop;
use object_store::ObjectStoreExt;

use crate::{
    moto::Moto,
    place::{Place, indices, run, through_buckets},
};

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(2);

/// Stands before the storage: gives short sessions, and lets nothing pass with one that has ended.
struct Gate {
    address: String,
    storage: String,
    sessions: Mutex<Vec<Instant>>,
    passed: AtomicUsize,
    late: AtomicUsize,
}

impl Gate {
    fn start(storage: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gate = Arc::new(Self {
            address,
            storage: storage.to_owned(),
            sessions: Mutex::default(),
            passed: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&gate);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let gate = Arc::clone(&serving);
                thread::spawn(move || drop(gate.serve(client)));
            }
        });
        gate
    }

    /// One request a connection.
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if !lower.starts_with("connection:") {
                head += &line;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if head.starts_with("POST / ") {
            return answer(&mut client, 200, &self.session());
        }
        if !self.is_current(&head) {
            self.late.fetch_add(1, Ordering::Relaxed);
            let error =
                "<Error><Code>ExpiredToken</Code><Message>The token has expired</Message></Error>";
            return answer(&mut client, 400, error);
        }
        self.passed.fetch_add(1, Ordering::Relaxed);
        let mut server = TcpStream::connect(&self.storage)?;
        server.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
        server.write_all(&body)?;
        io::copy(&mut server, &mut client).map(drop)
    }

    fn session(&self) -> String {
        let mut sessions = self.sessions.lock().unwrap();
        sessions.push(Instant::now() + SESSION);
        let until = jiff::Timestamp::try_from(SystemTime::now() + SESSION).unwrap();
        let number = sessions.len() - 1;
        format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AK{number}</AccessKeyId>\
             <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
             <Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
    }

    fn is_current(&self, head: &str) -> bool {
        let number = head.split_once("Credential=AK").and_then(|(_, rest)| rest.split_once('/'));
        let number = number.and_then(|(number, _)| number.parse::<usize>().ok());
        let sessions = self.sessions.lock().unwrap();
        number.and_then(|number| sessions.get(number)).is_some_and(|until| Instant::now() < *until)
    }
}

fn answer(client: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status} OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_given_for_its_own_external_id_only() {
    let moto = Moto::start("hv-right");
    let uri = "s3://lists/urls.txt";
    moto.put(uri, "http://a.test/").await;
    let service = moto.service(&moto.address);
    let read = async |role: Role| {
        let bucket = service.open(&uri.parse().unwrap(), &Access::Role(role)).unwrap();
        bucket.store().head(bucket.path()).await
    };
    let role = || Role::new(&moto.role("role"), "job_1", Scope::Read).unwrap();
    assert_eq!(read(role().with_external_id("hv-right").unwrap()).await.unwrap().size, 14);
    for role in [role(), role().with_external_id("hv-wrong").unwrap()] {
        let error = read(role).await.unwrap_err();
        assert!(matches!(error, StoreError::PermissionDenied { .. }), "{error:?}");
        let reason = error.to_string();
        assert!(reason.contains("AccessDenied") && reason.contains("sts:AssumeRole"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_taken_on_again_before_its_session_ends() {
    let shop = Shop::new().with_page_bytes(2_000).with_latency(Duration::from_millis(20));
    let place = Place::with(shop);
    let moto = Moto::start("anything");
    // The gate is what checks here; the storage behind it lets everybody in.
    moto.let_everybody_in();
    moto.put("s3://lists/urls.ndjson", place.list(2_000)).await;
    let gate = Gate::start(&moto.address);
    let url = format!("http://{}", gate.address);
    let settings =
        S3Settings::new().with_endpoint(&url).with_sts_endpoint(&url).with_keys("own", "secret");
    let storage = Storage::builder().s3(settings).allow(gate.address.parse().unwrap()).build();
    let engine = place.open(storage).await;
    let output = OutputSpec::ndjson().with_max_part_bytes(1024 * 1024);
    let ended = run(&engine, through_buckets(&moto, output).with_concurrency(6)).await;
    assert_eq!(ended.job.status, Status::Completed, "{:?}", ended.job);
    let directory = format!("s3://results/team/{}", ended.job.id);
    assert_eq!(indices(&moto, &directory).await, (0..2_000).collect::<Vec<_>>());
    // One for the list, one for the result, and more for the result when that one had ended.
    assert!(gate.sessions.lock().unwrap().len() >= 3, "the job ended too soon");
    assert!(gate.passed.load(Ordering::Relaxed) > 0);
    assert_eq!(gate.late.load(Ordering::Relaxed), 0, "no request was late");
    engine.shutdown().await;
}
