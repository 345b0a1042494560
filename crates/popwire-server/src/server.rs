//! The running server: its thread, its listeners, and what a test may ask of it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::admission::{Admission, Full};
use crate::certificate::Identity;
use crate::connection::{self, Shared};
use crate::event::Teller;
use crate::options::Options;
use crate::record::Records;
use crate::{Builder, EventKind, Maildrop, Session, StartError};

/// How long the end waits for what is being written to a disk.
const STOP: Duration = Duration::from_secs(2);

/// How many connections may wait to be accepted. With the 128 of the standard library a crowd that comes at once is told
/// nothing, and each client tries again after a second.
const BACKLOG: u32 = 4096;

/// A running server. Dropped, it stops: sessions end where they are, nothing more is removed, locks are released.
pub struct Server {
    shared: Arc<Shared>,
    addr: SocketAddr,
    tls_addr: SocketAddr,
    identity: Identity,
    stop: watch::Sender<Option<Duration>>,
    /// How many connections were cut. Behind a lock so that threads of a test may share the server.
    stopped: Mutex<mpsc::Receiver<usize>>,
}

impl Server {
    /// Describes a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens without TLS.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens with implicit TLS.
    #[must_use]
    pub fn tls_addr(&self) -> SocketAddr {
        self.tls_addr
    }

    /// The CA certificate that a client should trust, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.identity.ca_pem
    }

    /// The CA certificate that a client should trust, in DER.
    #[must_use]
    pub fn ca_der(&self) -> &[u8] {
        &self.identity.ca_der
    }

    /// The certificate that the server shows, in DER: for fingerprints.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.identity.leaf_der
    }

    /// A new certificate for a client, signed by the server's CA, and its key, both in PEM. A client that shows it
    /// within TLS may log in as `user` by EXTERNAL (RFC 4422 appendix A), if there is such a user. TLS asks every
    /// client for a certificate, and lets those in who have none.
    ///
    /// # Errors
    ///
    /// [`StartError::Certificate`], if it cannot be made.
    pub fn client_certificate(&self, user: impl AsRef<[u8]>) -> Result<(String, String), StartError> {
        let user = user.as_ref();
        let issued = self.identity.issue(&String::from_utf8_lossy(user)).map_err(StartError::Certificate)?;
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert(issued.der, user.to_vec());
        Ok((issued.pem, issued.key_pem))
    }

    /// The maildrop of a user.
    #[must_use]
    pub fn maildrop(&self, user: impl AsRef<[u8]>) -> Option<Maildrop> {
        self.shared.options.accounts.get(user.as_ref()).map(|account| account.maildrop.clone())
    }

    /// All connections so far, in the order in which they were accepted.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.shared.records.all()
    }

    /// The connection that was accepted last.
    #[must_use]
    pub fn last_session(&self) -> Option<Session> {
        self.shared.records.last()
    }

    /// Waits until so many connections have ended, with their deletions done and their locks released. `false` if that
    /// did not come to pass in time.
    #[must_use]
    pub fn wait_closed(&self, connections: usize, timeout: Duration) -> bool {
        self.wait_for(timeout, |sessions| {
            sessions.iter().filter(|session| session.closed).count() >= connections
        })
    }

    /// Waits until `done` says so of the connections. `false` if that did not come to pass in time.
    #[must_use]
    pub fn wait_for(&self, timeout: Duration, done: impl FnMut(&[Session]) -> bool) -> bool {
        self.shared.records.wait(timeout, done)
    }

    /// Ends the server in good order: nobody is let in any more, and a session ends as soon as it has answered all that
    /// it has been asked. One that is in UPDATE removes what is marked, and says so; one that waits for its client ends
    /// at once, and removes nothing (RFC 1939 section 6). What is not done within `grace` is cut, and how many
    /// connections that were is returned.
    pub fn stop(self, grace: Duration) -> usize {
        self.stop.send_replace(Some(grace));
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        // If the disk hangs, nobody has counted.
        let limit = grace.saturating_add(STOP + Duration::from_secs(1));
        stopped.recv_timeout(limit).unwrap_or_else(|_| self.shared.admission.count())
    }

    pub(crate) fn start(options: Options) -> Result<Self, StartError> {
        let identity = Identity::make(&options.tls)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("popwire-server")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let (plain, addr) = bind(options.plain_addr, &runtime)?;
        let (tls, tls_addr) = bind(options.tls_addr, &runtime)?;
        let (stop, mut stopping) = watch::channel(None);
        let admission = Admission::new(options.max_connections, options.max_connections_per_address);
        let shared = Arc::new(Shared {
            admission: Arc::new(admission),
            sessions: AtomicU64::new(0),
            stopping: stopping.clone(),
            acceptor: TlsAcceptor::from(Arc::clone(&identity.config)),
            records: Arc::new(Records::default()),
            occurrences: options.scripts.iter().map(|_| AtomicU64::new(0)).collect(),
            right_logins: AtomicU64::new(0),
            timestamps: AtomicU64::new(0),
            end_point: identity.end_point(),
            clients: Mutex::new(BTreeMap::new()),
            options,
        });
        let (said, stopped) = mpsc::channel();
        let for_thread = Arc::clone(&shared);
        // A runtime must not be dropped inside another one, and a test may well be running in one: so this one lives
        // on a thread of its own, from beginning to end.
        std::thread::Builder::new()
            .name("popwire-server".to_owned())
            .spawn(move || {
                let cut = runtime.block_on(async {
                    let listeners = async {
                        tokio::join!(
                            listen(plain, false, Arc::clone(&for_thread)),
                            listen(tls, true, Arc::clone(&for_thread)),
                        )
                    };
                    let stop =
                        async { stopping.wait_for(Option::is_some).await.map_or(None, |grace| *grace) };
                    let grace = tokio::select! {
                        grace = stop => grace.unwrap_or_default(),
                        _ = listeners => Duration::ZERO,
                    };
                    // Sessions see the same signal. Each ends when it has nothing more to do.
                    let _ = tokio::time::timeout(grace, for_thread.admission.empty()).await;
                    for_thread.admission.count()
                });
                // What is left is dropped where it stands. Threads that write to a disk come to their end.
                runtime.shutdown_timeout(STOP);
                // The server may have given up waiting.
                let _ = said.send(cut);
            })
            .map_err(StartError::Thread)?;
        Ok(Self { shared, addr, tls_addr, identity, stop, stopped: Mutex::new(stopped) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(Some(Duration::ZERO));
        let stopped = self.stopped.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A disk that hangs must not hang the test: the thread is then left behind.
        let _ = stopped.recv_timeout(STOP + Duration::from_secs(1));
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addr", &self.addr)
            .field("tls_addr", &self.tls_addr)
            .finish_non_exhaustive()
    }
}

fn bind(addr: SocketAddr, runtime: &Runtime) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = || -> io::Result<_> {
        // The listener belongs to the runtime that will serve it.
        let _context = runtime.enter();
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As the standard library does: a server that starts again is not kept out by the connections that it had.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    bound().map_err(|source| StartError::Bind { addr, source })
}

/// Accepts connections for ever.
async fn listen(listener: TcpListener, tls: bool, shared: Arc<Shared>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely: it passes.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let teller = Teller::new(&shared.options.observer, &shared.sessions, peer);
        match shared.admission.admit(peer.ip()) {
            Err(full) => {
                teller.turned_away(full == Full::Address);
                turn_away(stream, tls, full).await;
            }
            Ok(place) => {
                teller.tell(EventKind::Accepted { tls });
                // Recorded here, so that sessions are in the order in which they were accepted.
                let recorder = shared.records.begin(peer, shared.options.record);
                tokio::spawn(connection::serve(stream, tls, Arc::clone(&shared), recorder, teller, place));
            }
        }
    }
}

async fn turn_away(mut stream: TcpStream, tls: bool, full: Full) {
    if !tls {
        let greeting: &[u8] = match full {
            Full::Server => b"-ERR [SYS/TEMP] too many connections\r\n",
            Full::Address => b"-ERR [SYS/TEMP] too many connections from your address\r\n",
        };
        // It fits into an empty socket buffer: this does not wait.
        let _ = stream.write_all(greeting).await;
    }
}
