//! Servers that play a script for every connection.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use popwire::{Connector, Security};

use crate::actor::{Act, perform};

type Reads = Arc<Mutex<Vec<Vec<u8>>>>;

/// It has a script for each connection, as many as there may be.
pub(crate) struct Troupe {
    addr: SocketAddr,
    connections: Arc<Mutex<Vec<Reads>>>,
}

impl Troupe {
    /// The script for the n-th connection, counted from 0.
    pub(crate) fn play(script: impl Fn(usize) -> Vec<Act> + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&connections);
        // It waits for connections until the tests are over.
        thread::spawn(move || {
            for (nth, stream) in listener.incoming().enumerate() {
                let reads = Reads::default();
                known.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&reads));
                let script = script(nth);
                thread::spawn(move || perform(stream.unwrap(), script, &reads));
            }
        });
        Self { addr, connections }
    }

    /// A connector without TLS that may log in all the same.
    pub(crate) fn connector(&self) -> Connector {
        self.protected().security(Security::Plain).dangerous_login_without_verified_tls()
    }

    /// A connector that takes the connection for one that is protected.
    pub(crate) fn protected(&self) -> Connector {
        Connector::new("127.0.0.1").port(self.addr.port()).security(Security::ProtectedByCaller)
    }

    /// The lines that were heard on each connection so far.
    pub(crate) fn lines(&self) -> Vec<Vec<String>> {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = |reads: &Reads| {
            let octets = reads.lock().unwrap_or_else(PoisonError::into_inner).concat();
            String::from_utf8_lossy(&octets).lines().map(str::to_owned).collect()
        };
        connections.iter().map(text).collect()
    }
}
