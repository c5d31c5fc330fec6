//! Real proxies, as Debian has them: tinyproxy, squid, microsocks. `.ci/run` installs them.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A proxy on loopback, ended when dropped.
pub(crate) struct RealProxy {
    child: Child,
    pub(crate) address: SocketAddr,
    _directory: TempDir,
}

/// User and password of the proxies that want them.
pub(crate) const USER: (&str, &str) = ("harvest", "s3cret");
/// The same for squid, by `openssl passwd -apr1 -salt harvestm s3cret`.
const SQUID_USER: &str = "harvest:$apr1$harvestm$uja9M/8GHfY28sQartgqd/\n";

impl RealProxy {
    /// tinyproxy, which names itself in `Via`.
    pub(crate) fn tinyproxy(name: &str, with_password: bool) -> Self {
        let (directory, address) = (directory(), free_address());
        let port = address.port();
        let auth = if with_password {
            format!("BasicAuth {} {}\n", USER.0, USER.1)
        } else {
            String::new()
        };
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nMaxClients 400\n\
             LogLevel Critical\nViaProxyName \"{name}\"\n{auth}"
        );
        let path = directory.path().join("tinyproxy.conf");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(path);
        Self::start(command, address, directory)
    }

    /// squid without a cache.
    pub(crate) fn squid(with_password: bool) -> Self {
        Self::squid_in(directory(), with_password, "http_port", "")
    }

    /// squid that is spoken to over TLS, and its certificate, which nobody knows.
    pub(crate) fn squid_over_tls(with_password: bool) -> (Self, PathBuf) {
        let directory = directory();
        let (certificate, key) = certificate(directory.path());
        let files = format!(" tls-cert={} tls-key={}", certificate.display(), key.display());
        (Self::squid_in(directory, with_password, "https_port", &files), certificate)
    }

    fn squid_in(directory: TempDir, with_password: bool, port: &str, files: &str) -> Self {
        let address = free_address();
        let users = directory.path().join("users");
        fs::write(&users, SQUID_USER).unwrap();
        let access = if with_password {
            format!(
                "auth_param basic program /usr/lib/squid/basic_ncsa_auth {}\n\
                 acl known proxy_auth REQUIRED\nhttp_access allow known\n",
                users.display()
            )
        } else {
            "http_access allow all\n".to_owned()
        };
        let config = format!(
            "{port} {address}{files}\n{access}cache deny all\naccess_log none\ncache_log /dev/null\n\
             pid_filename none\nshutdown_lifetime 0 seconds\ncoredump_dir /tmp\n"
        );
        let path = directory.path().join("squid.conf");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("squid");
        command.arg("-N").arg("-f").arg(path);
        Self::start(command, address, directory)
    }

    /// microsocks, a SOCKS5 server.
    pub(crate) fn socks(with_password: bool) -> Self {
        let (directory, address) = (directory(), free_address());
        let mut command = Command::new("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &address.port().to_string()]);
        if with_password {
            command.args(["-u", USER.0, "-P", USER.1]);
        }
        Self::start(command, address, directory)
    }

    fn start(mut command: Command, address: SocketAddr, directory: TempDir) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} (installed by .ci/run): {error}"));
        let mut proxy = Self { child, address, _directory: directory };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(proxy.child.try_wait().unwrap().is_none(), "{name} has ended");
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} does not listen");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        proxy
    }

    /// Its URL with a scheme.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Its URL with user and password.
    pub(crate) fn url_for(&self, scheme: &str, user: &str, password: &str) -> String {
        format!("{scheme}://{user}:{password}@{}", self.address)
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for RealProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for 127.0.0.1 that speaks for itself, and its key.
fn certificate(directory: &Path) -> (PathBuf, PathBuf) {
    let path = |name: &str| directory.join(name);
    let (config, certificate, key) = (path("openssl.cnf"), path("cert.pem"), path("key.pem"));
    let text = "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n\
                [name]\nCN = 127.0.0.1\n\
                [more]\nsubjectAltName = IP:127.0.0.1\nbasicConstraints = critical, CA:FALSE\n";
    fs::write(&config, text).unwrap();
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-days", "2", "-nodes", "-newkey", "rsa:2048", "-config"]);
    command.arg(config).arg("-out").arg(&certificate).arg("-keyout").arg(&key);
    assert!(command.stderr(Stdio::null()).status().unwrap().success());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    (certificate, key)
}

/// A directory that the proxies can read, which give up being root.
fn directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Below the ports that the system gives out, so that no other test is given it meanwhile.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 400) as u16 * 30;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 30;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
