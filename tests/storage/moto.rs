//! A server that speaks S3, IAM and STS, of a process of its own.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use harvestman::storage::{Access, Bucket, Location, S3Settings, Storage};
use serde_json::Value;

/// How long the server may take to come up on a busy machine.
const START_TIME: Duration = Duration::from_mins(1);

/// Moto with permissions enforced: buckets `lists` and `results`, a service that may take on roles and
/// nothing else, and roles that ask for an external id.
pub(crate) struct Moto {
    server: Child,
    pub(crate) address: String,
    made: Value,
}

fn python() -> String {
    std::env::var("HARVESTMAN_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

impl Moto {
    /// Starts it. The roles ask for this external id.
    pub(crate) fn start(external_id: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let server = Command::new(python())
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut moto = Self { server, address, made: Value::Null };
        moto.wait_until_up();
        moto.made = moto.prepare(external_id);
        moto
    }

    fn wait_until_up(&mut self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(&self.address).is_err() {
            let ended = self.server.try_wait().unwrap();
            assert!(ended.is_none(), "moto ended: {ended:?}; is moto[s3,sts,iam,server] there?");
            assert!(begun.elapsed() < START_TIME, "moto doesn't come up");
            std::thread::yield_now();
        }
    }

    fn prepare(&self, external_id: &str) -> Value {
        let mut prepare = Command::new(python())
            .args(["-c", include_str!("moto.py"), &self.url(), "prepare", external_id])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut made = String::new();
        prepare.stdout.take().unwrap().read_to_string(&mut made).unwrap();
        assert!(prepare.wait().unwrap().success());
        serde_json::from_str(&made).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The ARN of the role that may do everything with buckets, or of the one that may do nothing.
    pub(crate) fn role(&self, name: &str) -> String {
        self.made[name].as_str().unwrap().to_owned()
    }

    /// The storage of a service that may take on roles, reached by way of `address`.
    pub(crate) fn service(&self, address: &str) -> Storage {
        self.storage("service", address)
    }

    pub(crate) fn service_keys(&self) -> (String, String) {
        self.keys("service")
    }

    /// The keys of a user: `service`, or `admin`, who may do everything with buckets.
    pub(crate) fn keys(&self, user: &str) -> (String, String) {
        let key = |part: usize| self.made[user][part].as_str().unwrap().to_owned();
        (key(0), key(1))
    }

    /// Checks permissions no more.
    pub(crate) fn let_everybody_in(&self) {
        let mut socket = std::net::TcpStream::connect(&self.address).unwrap();
        write!(
            socket,
            "POST /moto-api/reset-auth HTTP/1.1\r\nHost: moto\r\nContent-Type: text/plain\r\n\
             Content-Length: 8\r\nConnection: close\r\n\r\ninfinity"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
    }

    fn storage(&self, user: &str, address: &str) -> Storage {
        let (key, secret) = self.keys(user);
        let url = format!("http://{address}");
        let settings =
            S3Settings::new().with_endpoint(&url).with_sts_endpoint(&url).with_keys(key, secret);
        Storage::builder().s3(settings).allow(address.parse().unwrap()).build()
    }

    /// A storage that may do everything, not by way of any proxy.
    pub(crate) fn admin(&self) -> Storage {
        self.storage("admin", &self.address)
    }

    pub(crate) fn bucket(&self, uri: &str) -> Bucket {
        let location: Location = uri.parse().unwrap();
        self.admin().open(&location, &Access::Own).unwrap()
    }

    pub(crate) async fn put(&self, uri: &str, content: impl Into<bytes::Bytes>) {
        let bucket = self.bucket(uri);
        bucket
            .store()
            .put_opts(bucket.path(), content.into().into(), object_store::PutOptions::default())
            .await
            .unwrap();
    }

    pub(crate) async fn read(&self, uri: &str) -> Vec<u8> {
        let bucket = self.bucket(uri);
        let found = bucket
            .store()
            .get_opts(bucket.path(), object_store::GetOptions::default())
            .await
            .unwrap();
        found.bytes().await.unwrap().into()
    }

    /// The names of the objects under a place.
    pub(crate) async fn names(&self, uri: &str) -> Vec<String> {
        let bucket = self.bucket(uri);
        let listed: Vec<_> = bucket.store().list(Some(bucket.path())).try_collect().await.unwrap();
        let mut names: Vec<_> =
            listed.iter().filter_map(|meta| meta.location.filename()).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// How many uploads to a bucket were begun and neither completed nor aborted.
    pub(crate) async fn uploads_under_way(&self, bucket: &str) -> usize {
        self.bucket(&format!("s3://{bucket}")).abort_uploads().await.unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
