//! A server that speaks S3, IAM and STS, of a process of its own.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use harvestman::storage::{Access, Bucket, Location, S3Settings, Storage};
use serde_json::Value;
use tempfile::TempDir;

/// How long the server may take to come up on a busy machine.
const START_TIME: Duration = Duration::from_mins(1);
pub(crate) const SCRIPT: &str = include_str!("store.py");

/// Moto with permissions enforced: buckets `lists` and `results`, a service that may take on roles and
/// nothing else, and roles that ask for an external id.
pub(crate) struct Moto {
    server: Child,
    pub(crate) address: String,
    made: Value,
    secure: Option<Secure>,
}

/// A second address, where it speaks TLS and is overloaded now and then.
struct Secure {
    address: String,
    files: TempDir,
}

impl Secure {
    fn new() -> Self {
        let secure = Self { address: free_address(), files: tempfile::tempdir().unwrap() };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=storage"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(secure.key())
            .arg("-out")
            .arg(secure.certificate())
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "openssl makes no certificate");
        secure
    }

    fn certificate(&self) -> PathBuf {
        self.files.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.files.path().join("key.pem")
    }
}

pub(crate) fn python() -> String {
    std::env::var("HARVESTMAN_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub(crate) fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

fn run(arguments: &[&str]) -> String {
    let mut script = Command::new(python());
    let ran =
        script.args(["-c", SCRIPT]).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    assert!(ran.status.success(), "{arguments:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// Waits until a server accepts connections.
pub(crate) fn wait_until_up(server: &mut Child, address: &str) {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "the store ended: {ended:?}; is what .ci/run installs there?");
        assert!(begun.elapsed() < START_TIME, "the store doesn't come up");
        std::thread::yield_now();
    }
}

impl Moto {
    /// Starts it. The roles ask for this external id.
    pub(crate) fn start(external_id: &str) -> Self {
        Self::start_with(external_id, None)
    }

    /// Starts it with a second address, where it is overloaded as comes of `seed`.
    pub(crate) fn start_overloaded(external_id: &str, seed: u64) -> Self {
        Self::start_with(external_id, Some(seed))
    }

    fn start_with(external_id: &str, seed: Option<u64>) -> Self {
        let (address, secure) = (free_address(), seed.map(|_| Secure::new()));
        let mut serve = Command::new(python());
        serve.args(["-c", SCRIPT, "serve", port(&address)]);
        if let (Some(secure), Some(seed)) = (&secure, seed) {
            serve.args([port(&secure.address)]).arg(secure.certificate()).arg(secure.key());
            serve.arg(seed.to_string());
        }
        let server = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut moto = Self { server, address, made: Value::Null, secure };
        moto.wait_until_up();
        let made = run(&["prepare", &moto.url(), external_id]);
        moto.made = serde_json::from_str(&made).unwrap();
        moto
    }

    fn wait_until_up(&mut self) {
        let secure = self.secure.as_ref().map(|secure| &secure.address);
        for address in [&self.address].into_iter().chain(secure) {
            wait_until_up(&mut self.server, address);
        }
    }

    /// Says what the role of the team may do from now on, like `s3:GetObject`.
    pub(crate) fn allow_team(&self, action: &str) {
        let (key, secret) = self.keys("root");
        run(&["rights", &self.url(), &key, &secret, action]);
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

    /// The address at which it is overloaded now and then.
    pub(crate) fn secure_address(&self) -> &str {
        &self.secure.as_ref().unwrap().address
    }

    /// The storage of a service over TLS, reached by way of `address`.
    pub(crate) fn secure_service(&self, address: &str) -> Storage {
        let certificate = std::fs::read(self.secure.as_ref().unwrap().certificate()).unwrap();
        let settings = self.settings("service", &format!("https://{address}"));
        let builder = Storage::builder().s3(settings).allow(address.parse().unwrap());
        builder.trust(&certificate).unwrap().build()
    }

    fn storage(&self, user: &str, address: &str) -> Storage {
        let settings = self.settings(user, &format!("http://{address}"));
        Storage::builder().s3(settings).allow(address.parse().unwrap()).build()
    }

    fn settings(&self, user: &str, url: &str) -> S3Settings {
        let (key, secret) = self.keys(user);
        S3Settings::new().with_endpoint(url).with_sts_endpoint(url).with_keys(key, secret)
    }

    /// A storage that may do everything, not by way of any proxy.
    pub(crate) fn admin(&self) -> Storage {
        self.storage("admin", &self.address)
    }

    /// A place to look into as who may do everything, whichever interface its URI means.
    pub(crate) fn bucket(&self, uri: &str) -> Bucket {
        let location: Location = uri.replacen("gs://", "s3://", 1).parse().unwrap();
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
