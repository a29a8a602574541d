//! Servers that tests start and kill, a relay that can be cut, and short names for what the tests say often.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use zookeeper_client::{
    Acls, Client, CreateMode, CreateOptions, EventType, SessionState, StateWatcher, WatchedEvent,
};

/// How long a test waits for something that has to happen. Only a broken server or client reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

pub const ALL: Acls<'static> = Acls::anyone_all();
pub const PERSISTENT: CreateOptions<'static> = CreateMode::Persistent.with_acls(ALL);
pub const SEQUENTIAL: CreateOptions<'static> = CreateMode::PersistentSequential.with_acls(ALL);
pub const EPHEMERAL: CreateOptions<'static> = CreateMode::Ephemeral.with_acls(ALL);

pub struct Server {
    directory: PathBuf,
    pub port: u16,
    process: Child,
}

impl Server {
    /// A server for the caller alone.
    pub fn start(name: &str) -> Server {
        let work = std::env::var("WORK").expect("this suite is started by run.sh");
        let directory = PathBuf::from(work).join(name);
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Server::run(&directory, port);
        Server {
            directory,
            port,
            process,
        }
    }

    /// Starts on the directory, new or used before, and returns once it serves.
    fn run(directory: &PathBuf, port: u16) -> Child {
        let mut process = Command::new(std::env::var("SERVER_COMMAND").unwrap())
            .arg(directory)
            .arg(port.to_string())
            .args(["minSessionTimeout=1000", "extendedTypesEnabled=true"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        while !serves(port) {
            assert!(
                process.try_wait().unwrap().is_none(),
                "the server ended before it served"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    }

    pub fn end(&mut self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        self.process.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.process = Server::run(&self.directory, self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serves(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(b"srvr")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("Mode:"))
}

/// The port of the server that all tests share which do not end it. run.sh ends it after the last test.
pub fn shared() -> u16 {
    static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| Mutex::new(Server::start("shared")))
        .lock()
        .unwrap()
        .port
}

/// Forwards a port to another, except while it is cut.
pub struct Relay {
    pub port: u16,
    cut: watch::Sender<bool>,
}

impl Relay {
    pub async fn to(port: u16) -> Relay {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (cut, state) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut state = state.clone();
                tokio::spawn(async move {
                    if *state.borrow_and_update() {
                        return;
                    }
                    let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await
                    else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = state.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Relay { port: own, cut }
    }

    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub fn join(&self) {
        self.cut.send_replace(false);
    }
}

pub async fn connect(port: u16) -> Client {
    connect_for(port, Duration::from_secs(20)).await
}

pub async fn connect_for(port: u16, timeout: Duration) -> Client {
    Client::connector()
        .with_session_timeout(timeout)
        .connect(&format!("127.0.0.1:{port}"))
        .await
        .unwrap()
}

/// A fresh znode's path.
pub async fn home(client: &Client) -> String {
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    let path = format!("/rust-{}", SERIAL.fetch_add(1, Ordering::Relaxed));
    client.create(&path, b"", &PERSISTENT).await.unwrap();
    path
}

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} never came"))
}

/// Waits until the session has been in that state.
pub async fn state(states: &mut StateWatcher, wanted: SessionState) {
    soon(&format!("state {wanted}"), async {
        let mut state = states.state();
        while state != wanted {
            state = states.changed().await;
        }
    })
    .await;
}

/// Waits for an event and checks it; returns its zxid.
pub async fn event(
    changed: impl Future<Output = WatchedEvent>,
    kind: EventType,
    path: &str,
) -> i64 {
    let event = soon(&format!("{kind} of {path}"), changed).await;
    assert_eq!((event.event_type, event.path.as_str()), (kind, path));
    event.zxid
}
